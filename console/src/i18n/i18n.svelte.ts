// Words in the reader's language. `en.json` is the measure: other files hold the same keys (a test compares).

import { recall, remember } from "../lib/storage";
import type { Phrase } from "../api/types";
import { duration, words } from "../lib/format";
import en from "./en.json";

export const LOCALES = { en: "English", de: "Deutsch" } as const;
export type Locale = keyof typeof LOCALES;
export type MessageKey = keyof typeof en;
/** A text, or one for each plural form of `n`. */
export type Message = string | { one: string; other: string };
export type Messages = Record<MessageKey, Message>;
export type Values = Record<string, string | number>;

const STORED = "warmline-language";

function isLocale(value: unknown): value is Locale {
  return typeof value === "string" && value in LOCALES;
}

function preferred(): Locale {
  const stored = recall(STORED);
  if (isLocale(stored)) return stored;
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find(isLocale) ?? "en";
}

class Language {
  locale = $state<Locale>("en");
  messages = $state.raw<Messages>(en);

  /** Loads the words the browser or the person prefers. */
  async start(): Promise<void> {
    await this.#show(preferred());
  }

  /** Changes the language, and remembers it. */
  async choose(locale: Locale): Promise<void> {
    remember(STORED, locale);
    await this.#show(locale);
  }

  async #show(locale: Locale): Promise<void> {
    this.messages = locale === "de" ? (await import("./de.json")).default : en;
    this.locale = locale;
    document.documentElement.lang = locale;
  }
}

export const language = new Language();

/** The text of `key`; `{name}` is replaced by the value of that name, `n` chooses the plural form. */
export function t(key: MessageKey, values: Values = {}): string {
  return fill(language.messages[key], values);
}

/** The name of a language, `en` for instance, in the reader's own; the tag itself where it is none. */
export function languageName(tag: string): string {
  try {
    return new Intl.DisplayNames([language.locale], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

/** The text of a key that may not exist, such as one made of a word of the server's. */
export function translated(key: string, values: Values = {}): string | null {
  return isKey(key) ? t(key, values) : null;
}

/** A sentence of the server's, or a part of one, by its word; null: this version has none for it. */
export function phrase({ reason, values = {} }: Phrase): string | null {
  const said = Object.entries(values).map(([name, value]) => [name, spoken(name, value)]);
  return translated(`phrase.${reason}`, Object.fromEntries(said));
}

/** Names that end in `_s` are spans in whole seconds; a language comes as its tag. */
function spoken(name: string, value: string): string {
  if (name.endsWith("_s")) return duration(Number(value) * 1_000);
  return name === "language" ? languageName(value) : value;
}

/** The server's text where that is the reader's language, else its sentences by their words, or the text for want of one. */
export function inWords(text: string, phrases: readonly Phrase[] | undefined): { text: string; lang: string | undefined } {
  if (language.locale === "en") return { text, lang: undefined };
  const said = (phrases ?? []).map(phrase);
  return said.length === 0 || said.includes(null) ? { text, lang: "en" } : { text: said.join(" "), lang: undefined };
}

/** A word of the server's for people; one this version does not know is shown as it came. */
export function word(group: string, name: string): string {
  return translated(`${group}.${name}`) ?? words(name);
}

function isKey(key: string): key is MessageKey {
  return key in en;
}

function fill(message: Message, values: Values): string {
  const text = typeof message === "string" ? message : message[form(values["n"])];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : String(value);
  });
}

function form(n: string | number | undefined): "one" | "other" {
  const rule = new Intl.PluralRules(language.locale).select(Number(n ?? 0));
  return rule === "one" ? "one" : "other";
}

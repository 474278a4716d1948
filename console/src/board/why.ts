// Why a caller is where they are, in the reader's language. Pure.

import type { LiveCall } from "../api/types";
import { language, phrase, t } from "../i18n/i18n.svelte";

export interface Why {
  text: string;
  /** The language it is in, where that is not the page's. */
  lang: string | undefined;
}

/** The server's sentence where that is the reader's language, else one made of its parts. */
export function whyOf({ why, why_phrases: phrases }: Pick<LiveCall, "why" | "why_phrases">): Why {
  if (why == null || language.locale === "en") return { text: why ?? "", lang: undefined };
  const said = phrases.map(phrase);
  if (said.length === 0 || said.includes(null)) return { text: why, lang: "en" };
  const [head = "", ...rest] = said as string[];
  // Who can't take the caller stands last, each kind with how many they are.
  const counts = rest.filter((_, i) => phrases[i + 1]?.values?.["n"] !== undefined);
  const parts = rest.slice(0, rest.length - counts.length);
  if (counts.length > 0) {
    const list = new Intl.ListFormat(language.locale, { type: "conjunction" }).format(counts);
    parts.push(t("board.signed_in_are", { list }));
  }
  return { text: parts.length === 0 ? `${head}.` : `${head}: ${parts.join("; ")}.`, lang: undefined };
}

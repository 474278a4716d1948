// The measured signals of a judgment in sentences.

import { t, translated, word } from "../i18n/i18n.svelte";

/** Shares of one, which people read as percent. */
const SHARES = new Set(["confidence", "no_speech", "probability", "retrieval_score", "retrieval_margin", "chosen"]);

/** A sentence for each signal that says something; one this version does not know is shown with its name. */
export function sentencesOf(signals: unknown): string[] {
  if (typeof signals !== "object" || signals === null) return [];
  return Object.entries(signals).flatMap(([name, value]) => sentenceOf(name, value) ?? []);
}

function sentenceOf(name: string, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "boolean") {
    const said = translated(`${value ? "signal" : "signal_not"}.${name}`);
    return said ?? (value ? `${word("signal", name)}.` : null);
  }
  const text = valueOf(name, value);
  return translated(`signal.${name}`, { value: text }) ?? t("signal.unknown", { name: word("signal", name), value: text });
}

function valueOf(name: string, value: unknown): string {
  if (typeof value === "number") {
    if (SHARES.has(name)) return `${Math.round(value * 100)} %`;
    return Number.isInteger(value) ? String(value) : value.toFixed(2);
  }
  return typeof value === "string" ? value.replaceAll("_", " ") : JSON.stringify(value);
}

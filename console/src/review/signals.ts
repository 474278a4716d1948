// The measured signals of a judgment in words. Pure.

import { t, word } from "../i18n/i18n.svelte";

/** Name and value of each signal, as people read them. */
export function signalsOf(signals: unknown): [name: string, value: string][] {
  if (typeof signals !== "object" || signals === null) return [];
  return Object.entries(signals).map(([name, value]) => [word("signal", name), valueOf(value)]);
}

function valueOf(value: unknown): string {
  switch (typeof value) {
    case "number":
      return Number.isInteger(value) ? String(value) : value.toFixed(Math.abs(value) < 10 ? 2 : 1);
    case "boolean":
      return value ? t("app.yes") : t("app.no");
    case "string":
      return value;
    default:
      return value === null || value === undefined ? "–" : JSON.stringify(value);
  }
}

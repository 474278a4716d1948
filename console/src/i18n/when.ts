// Times in the reader's zone and language.

import { language, t } from "./i18n.svelte";

/** An RFC 3339 time as local date and time; today only the time. */
export function when(text: string, now = new Date()): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return "";
  const isToday = time.toDateString() === now.toDateString();
  const clock: Intl.DateTimeFormatOptions = { hour: "numeric", minute: "2-digit" };
  const date: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
  if (time.getFullYear() !== now.getFullYear()) date.year = "numeric";
  const shown = new Intl.DateTimeFormat(language.locale, isToday ? clock : { ...date, ...clock }).format(time);
  return isToday ? t("when.today", { time: shown }) : shown;
}

/** The same within a sentence. */
export function whenWithin(text: string): string {
  const shown = when(text);
  const clock = new Date(text).toDateString() === new Date().toDateString();
  return clock ? shown.charAt(0).toLocaleLowerCase(language.locale) + shown.slice(1) : shown;
}

/** The day of an RFC 3339 time, such as “12 Jan 2026”. */
export function day(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return "";
  return new Intl.DateTimeFormat(language.locale, { day: "numeric", month: "short", year: "numeric" }).format(time);
}

// Opening hours as people fill them in, a field for each day of the week, and as they are written, a line for days alike. Pure.

import type { HoursProblem } from "../api/types";

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

/** Hours by day of the week, Monday first; empty: closed. */
export type Week = string[];

/** A day that differs; without hours it is closed. */
export interface SpecialDay {
  date: string;
  hours: string;
}

/** `["mon-fri 08:00-18:00"]` by day; null: something that this form would not write. */
export function weekOf(lines: readonly string[]): Week | null {
  const week: Week = DAYS.map(() => "");
  for (const line of lines) {
    const [, which, hours] = /^\s*(\S+)\s+(.+?)\s*$/.exec(line) ?? [];
    const days = which === undefined ? null : daysOf(which);
    if (days === null || hours === undefined) return null;
    for (const day of days) week[day] = week[day] === "" ? hours : `${week[day]}, ${hours}`;
  }
  return week;
}

/** `mon-fri`, `sat` or `mon,wed` as places in the week. */
function daysOf(text: string): number[] | null {
  const place = (name: string): number => DAYS.indexOf(name.toLowerCase() as (typeof DAYS)[number]);
  const days: number[] = [];
  for (const part of text.split(",")) {
    const [first = "", last = first] = part.split("-");
    const [from, to] = [place(first), place(last)];
    if (from < 0 || to < 0) return null;
    for (let day = from; ; day = (day + 1) % 7) {
      days.push(day);
      if (day === to) break;
    }
  }
  return days;
}

/** A line with its days' short names in a language: `Mo-Fr 08:00-18:00`. */
export function lineIn(locale: string, line: string): string {
  const short = new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" });
  // The fifth of January 1970 was a Monday.
  const names = new Map(DAYS.map((day, i) => [day as string, short.format(new Date((i + 4) * 86_400_000))]));
  return line.replace(/^\s*\S+/, (days) => days.replace(/[a-z]+/gi, (day) => names.get(day.toLowerCase()) ?? day));
}

/** The lines of a week: days in a row with the same hours share one. */
export function linesOf(week: Week): string[] {
  return runs(week).map(({ from, to }) => `${DAYS[from]}${from === to ? "" : `-${DAYS[to]}`} ${week[from]?.trim() ?? ""}`);
}

function runs(week: Week): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const [day, hours] of week.entries()) {
    if (hours.trim() === "") continue;
    const last = found.at(-1);
    if (last !== undefined && last.to === day - 1 && week[last.from]?.trim() === hours.trim()) last.to = day;
    else found.push({ from: day, to: day });
  }
  return found;
}

/** `2026-12-24 09:00-12:00` as a day that differs. */
export function specialsOf(lines: readonly string[]): SpecialDay[] {
  return lines.map((line) => {
    const [date = "", ...hours] = line.trim().split(/\s+/);
    return { date, hours: hours.join(" ") };
  });
}

/** The other way round; days without a date are left out. */
export function specialLines(days: readonly SpecialDay[]): string[] {
  return days.filter(({ date }) => date !== "").map(({ date, hours }) => `${date} ${hours.trim()}`.trim());
}

/** What is wrong, by the field it belongs to. */
export interface FieldProblems {
  zone: string | null;
  /** By day of the week, and what belongs to none. */
  week: (string | null)[];
  whole: string | null;
  /** By place in the list of days that differ. */
  special: (string | null)[];
}

/** Puts the server's problems, which count lines, beside the fields the lines were made of. */
export function fieldProblems(problems: readonly HoursProblem[], week: Week, special: readonly SpecialDay[]): FieldProblems {
  const found: FieldProblems = { zone: null, week: DAYS.map(() => null), whole: null, special: special.map(() => null) };
  const lines = runs(week);
  const written = special.flatMap(({ date }, i) => (date === "" ? [] : [i]));
  for (const { part, line, reason } of problems) {
    const run = lines[line];
    const at = written[line];
    if (part === "zone") found.zone = reason;
    else if (part === "weekly" && run !== undefined) found.week[run.from] = reason;
    else if (part === "days" && at !== undefined) found.special[at] = reason;
    else found.whole = reason;
  }
  return found;
}

// An agent's time by day and by how it is paid. Pure.

import type { LedgerRecord } from "../api/types";
import { dateOf } from "./days";

export const LEDGER_RANGES = ["day", "week", "month"] as const;
export type LedgerRange = (typeof LEDGER_RANGES)[number];

const DAYS: Record<LedgerRange, number> = { day: 1, week: 7, month: 28 };

/** Milliseconds by class of pay. */
export type Spent = Record<LedgerRecord["class"], number>;

export interface SpentOn extends Spent {
  /** `2026-01-12`, in the reader's zone. */
  date: string;
}

/** The midnight a range begins at, in the reader's zone; today counts as a day. */
export function beginOf(range: LedgerRange, now: Date): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - DAYS[range] + 1);
}

/** The newest day first; what goes on past midnight belongs to the day it began on. */
export function spentByDay(entries: readonly Pick<LedgerRecord, "began_at" | "ended_at" | "class">[]): SpentOn[] {
  const days = new Map<string, SpentOn>();
  for (const { began_at, ended_at, class: paid } of entries) {
    const date = dateOf(new Date(began_at));
    const day = days.get(date) ?? { date, work: 0, standby: 0, none: 0 };
    day[paid] += Date.parse(ended_at) - Date.parse(began_at);
    days.set(date, day);
  }
  return [...days.values()].sort((a, b) => b.date.localeCompare(a.date));
}

/** All of them together. */
export function sumOf(days: readonly Spent[]): Spent {
  const sum = (of: keyof Spent): number => days.reduce((all, day) => all + day[of], 0);
  return { work: sum("work"), standby: sum("standby"), none: sum("none") };
}

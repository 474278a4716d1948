// The numbers of intervals as lines and bars. Pure.

import type { Interval } from "../api/types";

export const RANGES = ["hours", "day", "week"] as const;
export type Range = (typeof RANGES)[number];

const HOUR_S = 3_600;
const SPANS: Record<Range, { back: number; every: number }> = {
  hours: { back: 6 * HOUR_S, every: HOUR_S / 4 },
  day: { back: 24 * HOUR_S, every: HOUR_S },
  week: { back: 7 * 24 * HOUR_S, every: 6 * HOUR_S },
};

/** What to ask for, so that intervals are those of the clock and the one going on is the last. */
export function queryOf(range: Range, now: number): { since: string; every_s: number } {
  const { back, every } = SPANS[range];
  const next = (Math.floor(now / 1_000 / every) + 1) * every;
  return { since: new Date((next - back) * 1_000).toISOString(), every_s: every };
}

export interface Trends {
  /** The middle of each interval, in seconds. */
  at: number[];
  /** Tops of stacked bars: answered, then also otherwise helped or still waiting, then also lost. */
  answered: number[];
  otherwise: number[];
  queued: number[];
  /** Percent answered in time; null where nobody asked. */
  service: (number | null)[];
  everySeconds: number;
}

export function trendsOf(intervals: readonly Interval[]): Trends {
  const first = intervals[0];
  const everySeconds = first === undefined ? 0 : (Date.parse(first.until) - Date.parse(first.from)) / 1_000;
  return {
    // The last one is shorter as long as it goes on, and stands where it will when it is over.
    at: intervals.map(({ from }) => Date.parse(from) / 1_000 + everySeconds / 2),
    answered: intervals.map(({ figures }) => figures.handled),
    otherwise: intervals.map(({ figures }) => figures.queued - figures.abandoned - figures.interrupted),
    queued: intervals.map(({ figures }) => figures.queued),
    service: intervals.map(({ figures }) => (figures.service_level == null ? null : 100 * figures.service_level)),
    everySeconds,
  };
}

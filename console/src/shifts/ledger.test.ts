import { assert, test } from "vitest";

import type { LedgerRecord } from "../api/types";
import { beginOf, spentByDay, sumOf } from "./ledger";

function entry(day: number, hour: number, minutes: number, paid: LedgerRecord["class"]): Pick<LedgerRecord, "began_at" | "ended_at" | "class"> {
  const began = new Date(2026, 0, day, hour);
  return { began_at: began.toISOString(), ended_at: new Date(began.getTime() + minutes * 60_000).toISOString(), class: paid };
}

const MINUTE = 60_000;

test("time is added up by day and pay, the newest day first, and past midnight belongs to the day before", () => {
  const days = spentByDay([entry(12, 9, 30, "standby"), entry(12, 10, 20, "work"), entry(12, 23, 90, "work"), entry(13, 8, 10, "none"), entry(13, 9, 5, "standby")]);
  assert.deepEqual(days, [
    { date: "2026-01-13", work: 0, standby: 5 * MINUTE, none: 10 * MINUTE },
    { date: "2026-01-12", work: 110 * MINUTE, standby: 30 * MINUTE, none: 0 },
  ]);
  assert.deepEqual(sumOf(days), { work: 110 * MINUTE, standby: 35 * MINUTE, none: 10 * MINUTE });
});

test("a range begins at a midnight of the reader's, today included", () => {
  const now = new Date(2026, 2, 3, 15, 20);
  assert.deepEqual(beginOf("day", now), new Date(2026, 2, 3));
  assert.deepEqual(beginOf("week", now), new Date(2026, 1, 25));
  assert.deepEqual(beginOf("month", now), new Date(2026, 1, 4));
});

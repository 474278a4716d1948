import { assert, test } from "vitest";

import type { Interval } from "../api/types";
import { queryOf, trendsOf } from "./trends";

test("intervals are those of the clock, and the one going on is the last", () => {
  const now = Date.parse("2026-03-02T10:07:30Z");
  assert.deepEqual(queryOf("hours", now), { since: "2026-03-02T04:15:00.000Z", every_s: 900 });
  assert.deepEqual(queryOf("day", now), { since: "2026-03-01T11:00:00.000Z", every_s: 3_600 });
});

test("bars are stacked: answered, helped otherwise, lost", () => {
  const figures = { queued: 10, handled: 6, abandoned: 2, interrupted: 1, service_level: 0.75 };
  const interval = (from: string, until: string, some: object): Interval => ({ from, until, figures: { ...figures, ...some } }) as unknown as Interval;
  const trends = trendsOf([
    interval("2026-03-02T10:00:00Z", "2026-03-02T10:15:00Z", {}),
    interval("2026-03-02T10:15:00Z", "2026-03-02T10:30:00Z", { queued: 0, handled: 0, abandoned: 0, interrupted: 0, service_level: null }),
  ]);
  assert.deepEqual([trends.answered, trends.otherwise, trends.queued], [[6, 0], [7, 0], [10, 0]]);
  assert.deepEqual(trends.service, [75, null]);
  assert.strictEqual(trends.everySeconds, 900);
  assert.strictEqual(trends.at[0], Date.parse("2026-03-02T10:07:30Z") / 1_000);
});

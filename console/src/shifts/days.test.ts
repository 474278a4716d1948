import { assert, test } from "vitest";

import { blockOf, byDay, dateOf, overlap, stacked } from "./days";

const block = (id: string, from: string, to: string): { id: string; began_at: string; ended_at: string } => ({
  id,
  began_at: new Date(from).toISOString(),
  ended_at: new Date(to).toISOString(),
});

test("blocks stand with the day they begin on, by time", () => {
  const late = block("late", "2026-01-12T22:00", "2026-01-13T06:00");
  const early = block("early", "2026-01-12T08:00", "2026-01-12T12:00");
  const next = block("next", "2026-01-13T08:00", "2026-01-13T12:00");
  const days = byDay([next, late, early]);
  assert.deepEqual(days.map(({ date, blocks }) => [date, blocks.map(({ id }) => id)]), [
    ["2026-01-12", ["early", "late"]],
    ["2026-01-13", ["next"]],
  ]);
});

test("a block may end the next day, and one that is not filled in is none", () => {
  const night = blockOf("2026-01-12", "22:00", "06:00");
  assert.strictEqual(Date.parse(night?.ended_at ?? "") - Date.parse(night?.began_at ?? ""), 8 * 3_600_000);
  assert.strictEqual(dateOf(new Date(night?.ended_at ?? "")), "2026-01-13");
  for (const [date, from, to] of [["", "08:00", "12:00"], ["2026-01-12", "", "12:00"], ["2026-01-12", "08:00", ""]] as const) {
    assert.strictEqual(blockOf(date, from, to), null);
  }
});

test("the same block for several people is one with a count", () => {
  const of = [block("a", "2026-01-12T08:00", "2026-01-12T12:00"), block("b", "2026-01-12T08:00", "2026-01-12T12:00"), block("c", "2026-01-12T08:00", "2026-01-12T13:00")];
  assert.deepEqual(stacked(of).map(({ first, count }) => [first.id, count]), [["a", 2], ["c", 1]]);
});

test("blocks that only meet do not overlap", () => {
  const morning = block("m", "2026-01-12T08:00", "2026-01-12T12:00");
  assert.isFalse(overlap(morning, block("n", "2026-01-12T12:00", "2026-01-12T16:00")));
  assert.isTrue(overlap(morning, block("o", "2026-01-12T11:59", "2026-01-12T16:00")));
});

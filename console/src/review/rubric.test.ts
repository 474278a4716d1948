import { assert, test } from "vitest";

import type { CallDetail, ScoreRecord } from "../api/types";
import { mean, partsOf, scoresOf, withScore } from "./rubric";

const score = (by: string, agent_id: string | null, resolved: number | null, tone: number | null = null): ScoreRecord => ({
  call_id: "c",
  at: "2026-01-01T00:00:00Z",
  by,
  agent_id,
  resolved,
  correct: null,
  effort: null,
  tone,
});

test("the parts of a call are the assistant's and each agent's once, not the telephone's", () => {
  const turns = [{ who: "assistant" }, { who: "caller" }, { who: "agent", agent_id: "dana" }];
  const handoffs = [{ agent_id: "dana" }, { agent_id: "kim" }, { agent_id: "telephone" }, {}];
  assert.deepEqual(partsOf({ turns, handoffs } as unknown as CallDetail), [null, "dana", "kim"]);
  assert.deepEqual(partsOf({ turns: [], handoffs: [] } as unknown as CallDetail), []);
});

test("a second thought replaces the first, of the same part only", () => {
  const first = [score("sam", null, 2), score("sam", "dana", 4), score("kim", null, 5)];
  const after = withScore(first, score("sam", null, 3));
  assert.deepEqual(
    scoresOf(after, null).map(({ by, resolved }) => [by, resolved]),
    [["kim", 5], ["sam", 3]],
  );
  assert.strictEqual(scoresOf(after, "dana").length, 1);
});

test("the mean leaves out what was not given", () => {
  assert.strictEqual(mean([score("a", null, 2, 5), score("b", null, null, 5)]), 4);
  assert.strictEqual(mean([score("a", null, null)]), null);
});

import { assert, test } from "vitest";

import type { LiveCall } from "../api/types";
import { boardCalls, byUrgency, counted } from "./order";

function call(call_id: string, stage: LiveCall["stage"], rest: Partial<LiveCall> = {}): LiveCall {
  return { call_id, stage, provider: "browser", for_ms: 0, why_phrases: [], ...rest };
}

test("a call that is as it was stays the object it was", () => {
  const calls = [call("a", "assistant", { for_ms: 5_000 }), call("b", "waiting", { for_ms: 9_000, waiting_ms: 4_000, position: 1 })];
  const first = boardCalls(calls, [], 100_000);
  assert.deepEqual(
    first.map(({ since, waitingSince }) => [since, waitingSince]),
    [[95_000, null], [91_000, 96_000]],
  );
  const later = calls.map((each) => ({ ...each, for_ms: each.for_ms + 2_300, ...(each.waiting_ms == null ? {} : { waiting_ms: each.waiting_ms + 2_300 }) }));
  const second = boardCalls(later, first, 102_000);
  assert.strictEqual(second[0], first[0]);
  assert.strictEqual(second[1], first[1]);
});

test("a call that has moved on, waits or comes back is a new object", () => {
  const first = boardCalls([call("a", "assistant", { for_ms: 5_000 })], [], 100_000);
  for (const changed of [
    call("a", "agent", { for_ms: 7_000 }),
    call("a", "assistant", { for_ms: 7_000, agent_id: "dana" }),
    call("a", "assistant", { for_ms: 7_000, waiting_ms: 10 }),
    call("a", "assistant", { for_ms: 100 }),
  ]) {
    assert.notStrictEqual(boardCalls([changed], first, 102_000)[0], first[0]);
  }
  const waits = boardCalls([call("a", "waiting", { position: 2, waiting_ms: 0 })], [], 0);
  assert.notStrictEqual(boardCalls([call("a", "waiting", { waiting_ms: 0 })], waits, 0)[0], waits[0]);
});

test("who waits comes first, in the order of the line, then the oldest", () => {
  const calls = [
    call("young", "assistant", { for_ms: 1 }),
    call("talking", "agent"),
    call("second", "waiting", { position: 2, for_ms: 90 }),
    call("old", "assistant", { for_ms: 2 }),
    call("first", "waiting", { position: 1 }),
    call("offered", "offered"),
  ];
  const sorted = byUrgency(boardCalls(calls, [], 1_000));
  assert.deepEqual(
    sorted.map(({ call_id }) => call_id),
    ["first", "second", "offered", "talking", "old", "young"],
  );
});

test("agents are counted by state", () => {
  const agent = (state: "available" | "break") => ({ agent_id: state, name: state, state, for_ms: 0 });
  const agents = [agent("available"), agent("available"), agent("break")];
  assert.strictEqual(counted(agents, "available"), 2);
  assert.strictEqual(counted(agents, "break", "offline"), 1);
});

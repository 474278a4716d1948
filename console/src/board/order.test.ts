import { assert, test } from "vitest";

import type { LiveCall } from "../api/types";
import { byUrgency, counted } from "./order";

function call(call_id: string, stage: LiveCall["stage"], rest: Partial<LiveCall> = {}): LiveCall {
  return { call_id, stage, provider: "browser", for_ms: 0, ...rest };
}

test("who waits comes first, in the order of the line, then the oldest", () => {
  const sorted = byUrgency([
    call("young", "assistant", { for_ms: 1 }),
    call("talking", "agent"),
    call("second", "waiting", { position: 2, for_ms: 90 }),
    call("old", "assistant", { for_ms: 2 }),
    call("first", "waiting", { position: 1 }),
    call("offered", "offered"),
  ]);
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

import { assert, test } from "vitest";

import type { LiveAgent, LiveNumbers } from "../api/types";
import { type Scene, alertsOf } from "./alerts";
import type { BoardCall } from "./order";

const NOW = 1_000_000;
const QUIET: Scene = { calls: [], agents: [], numbers: null, engines: { stt: "ready", llm: "off" }, now: NOW };

function waiting(call_id: string, seconds: number, reason: BoardCall["reason"] = "caller_asked"): BoardCall {
  return { call_id, stage: "waiting", provider: "browser", reason, since: NOW - 200_000, why_phrases: [], waitingSince: NOW - seconds * 1_000 };
}

function agent(name: string, state: LiveAgent["state"]): LiveAgent {
  return { agent_id: name, name, state, for_ms: 0 };
}

function keys(scene: Partial<Scene>): string[] {
  return alertsOf({ ...QUIET, ...scene }).map(({ key, tone }) => `${key} ${tone}`);
}

test("nothing is alarming about a quiet moment, a short wait or a full desk", () => {
  assert.deepEqual(keys({}), []);
  assert.deepEqual(keys({ calls: [waiting("a", 59)], agents: [agent("kim", "on_contact")] }), []);
});

test("a wait is seen after one minute and alarming after two", () => {
  const agents = [agent("kim", "on_contact")];
  assert.deepEqual(keys({ agents, calls: [waiting("a", 61), waiting("b", 5)] }), ["wait warm"]);
  assert.deepEqual(keys({ agents, calls: [waiting("a", 121)] }), ["wait bad"]);
});

test("callers nobody can take, and callers in distress, alarm at once", () => {
  assert.deepEqual(keys({ calls: [waiting("a", 1)], agents: [agent("kim", "break")] }), ["nobody bad"]);
  assert.deepEqual(keys({ calls: [waiting("a", 1, "distress")], agents: [agent("kim", "available")] }), ["distress bad"]);
});

test("what is broken is named, the worst first", () => {
  const agents = [agent("kim", "missed"), agent("lee", "error")];
  assert.deepEqual(keys({ agents, engines: { tts: "failed" } }), ["engine-tts bad", "agent-lee bad", "agent-kim warm"]);
});

test("a queue that answers too few in time is named once enough have asked", () => {
  const numbers = (queued: number, service_level: number): LiveNumbers =>
    ({ queues: { cards: { queued, service_level } } }) as unknown as LiveNumbers;
  assert.deepEqual(keys({ numbers: numbers(4, 0.2) }), []);
  assert.deepEqual(keys({ numbers: numbers(5, 0.7) }), ["service-cards warm"]);
  assert.deepEqual(keys({ numbers: numbers(5, 0.59) }), ["service-cards bad"]);
  assert.deepEqual(keys({ numbers: numbers(50, 0.8) }), []);
});

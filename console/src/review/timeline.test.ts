import { assert, test } from "vitest";

import type { CallDetail, TurnRecord } from "../api/types";
import { timelineOf } from "./timeline";

function turn(part: Partial<TurnRecord>): TurnRecord {
  return { call_id: "c", seq: 0, who: "caller", text: "Yes", confidence: 0.9, started_ms: 0, ended_ms: 0, entries: [], ...part };
}

function detail(turns: TurnRecord[], ended_at: string | null = "2026-01-01T00:01:00Z"): CallDetail {
  const call = {
    id: "c",
    provider: "browser",
    provider_call_id: "p",
    started_at: "2026-01-01T00:00:00Z",
    ended_at,
    outcome: "live",
  } as const;
  const trigger = { call_id: "c", handoff_id: "h", at_ms: 23_950, reason: "caller_asked", signals: {} } as const;
  return { call, turns, triggers: [trigger], handoffs: [], offers: [], messages: [], wrap_ups: [], tools: [], comments: [], scores: [], parties: [], contacts: [] };
}

const TIMINGS = { endpointing_ms: 400, stt_ms: 50, llm_ms: 300, tts_ms: 100, response_ms: 850, decode_ms: 200 };

test("turns become spans, answers with their stages, in seconds", () => {
  const { spans, replies, length } = timelineOf(
    detail([
      turn({ started_ms: 8_000, ended_ms: 10_000, confidence: 0.6 }),
      turn({ who: "assistant", started_ms: 11_000, ended_ms: 11_000, timings: TIMINGS }),
    ]),
  );
  assert.deepEqual(spans[0], { who: "caller", from: 8, to: 10, confidence: 0.6 });
  assert.strictEqual(spans[1]?.to, 11.1, "one that is seen");
  assert.deepEqual(replies, [{ at: 11, stages: [400, 50, 300, 100], totalMs: 850 }]);
  assert.strictEqual(length, 60);
});

test("a call that goes on is as long as what is known of it", () => {
  assert.strictEqual(timelineOf(detail([turn({ ended_ms: 70_000 })], null)).length, 70);
  assert.strictEqual(timelineOf(detail([], null)).length, 23.95);
});

test("an answer that was cut short and a wish for a person are turnings, by time", () => {
  const cut = turn({ who: "assistant", text: "We are", planned: "We are open.", started_ms: 20_000, ended_ms: 22_000 });
  const whole = turn({ who: "assistant", text: "We are open.", planned: "We are open.", ended_ms: 1_000 });
  assert.deepEqual(timelineOf(detail([cut, whole])).turnings, [
    { at: 22, what: "barge_in" },
    { at: 23.95, what: "person", reason: "caller_asked" },
  ]);
});

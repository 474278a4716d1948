// A call laid out in time: who spoke when, how sure recognition was, where the time to each answer went. Pure.

import type { CallDetail, HandoffReason, Speaker, TurnRecord } from "../api/types";
import { STAGES } from "./stages";

/** Somebody spoke; times in seconds of the call. */
export interface Span {
  who: Speaker;
  from: number;
  to: number;
  /** 0 to 1. */
  confidence: number;
}

/** An answer began; `stages` in milliseconds, in the order of [`STAGES`]. */
export interface Reply {
  at: number;
  stages: number[];
  totalMs: number;
}

/** Something that changed the course of the call. */
export type Turning = { at: number; what: "barge_in" } | { at: number; what: "person"; reason: HandoffReason };

export interface Timeline {
  /** Seconds. */
  length: number;
  spans: Span[];
  replies: Reply[];
  turnings: Turning[];
}

export function timelineOf({ call, turns, triggers }: CallDetail): Timeline {
  const spans = turns.map(({ who, started_ms, ended_ms, confidence }) => ({
    who,
    from: started_ms / 1_000,
    to: Math.max(ended_ms, started_ms + 100) / 1_000,
    confidence,
  }));
  const cut = turns.filter(wasCutShort).map(({ ended_ms }) => ({ at: ended_ms / 1_000, what: "barge_in" }) as const);
  const person = triggers.map(({ at_ms, reason }) => ({ at: at_ms / 1_000, what: "person", reason }) as const);
  const lasted = call.ended_at == null ? 0 : (Date.parse(call.ended_at) - Date.parse(call.started_at)) / 1_000;
  return {
    length: Math.max(1, lasted, ...spans.map(({ to }) => to), ...person.map(({ at }) => at)),
    spans,
    replies: turns.flatMap(replyOf),
    turnings: [...cut, ...person].sort((a, b) => a.at - b.at),
  };
}

/** Whether the caller spoke over the end of it. */
export function wasCutShort({ planned, text }: TurnRecord): boolean {
  return planned != null && planned !== text;
}

function replyOf({ timings, started_ms }: TurnRecord): Reply[] {
  if (timings == null) return [];
  const stages = STAGES.map(({ key }) => timings[key]);
  return [{ at: started_ms / 1_000, stages, totalMs: timings.response_ms }];
}

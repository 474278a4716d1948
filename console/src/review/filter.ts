// Which calls are shown, as it stands in the address: a filtered list can be sent to somebody. Pure.

import type { CallOutcome, HandoffReason } from "../api/types";

export const OUTCOMES: readonly CallOutcome[] = [
  "live",
  "ended_with_assistant",
  "spoke_with_agent",
  "transferred",
  "left_message",
  "callback_booked",
  "abandoned_in_queue",
  "interrupted",
];
export const REASONS: readonly HandoffReason[] = [
  "caller_pressed_zero",
  "caller_asked",
  "low_confidence",
  "engine_failed",
  "forbidden_topic",
  "distress",
  "silence",
  "agent_lost",
];

export interface Filter {
  outcome: CallOutcome | null;
  reason: HandoffReason | null;
  /** Local days, as a date field gives them; empty: no bound. */
  from: string;
  to: string;
  /** Words that were said. */
  said: string;
}

/** As the API takes it. */
export interface CallQuery {
  outcome?: CallOutcome;
  reason?: HandoffReason;
  since?: string;
  until?: string;
  said?: string;
}

export function filterOf(query: URLSearchParams): Filter {
  const day = (key: string): string => (/^\d{4}-\d{2}-\d{2}$/.test(query.get(key) ?? "") ? (query.get(key) ?? "") : "");
  return {
    outcome: OUTCOMES.find((each) => each === query.get("outcome")) ?? null,
    reason: REASONS.find((each) => each === query.get("reason")) ?? null,
    from: day("from"),
    to: day("to"),
    said: query.get("said") ?? "",
  };
}

/** The part of the address behind `?`; what is not set is left out. */
export function addressOf(filter: Filter): URLSearchParams {
  const set = Object.entries(filter).filter((pair): pair is [string, string] => pair[1] !== null && pair[1] !== "");
  return new URLSearchParams(set);
}

/** The days' bounds in the reader's zone. */
export function queryOf({ outcome, reason, from, to, said }: Filter): CallQuery {
  return {
    ...(outcome === null ? {} : { outcome }),
    ...(reason === null ? {} : { reason }),
    ...(from === "" ? {} : { since: new Date(`${from}T00:00:00`).toISOString() }),
    ...(to === "" ? {} : { until: new Date(`${to}T24:00:00`).toISOString() }),
    ...(said.trim() === "" ? {} : { said: said.trim() }),
  };
}

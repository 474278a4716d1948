// What stands where on the wallboard, and what of it has changed. Pure.

import type { LiveAgent, LiveCall } from "../api/types";

/** A call with moments of our clock instead of durations, so that it stays the same while nothing happens. */
export interface BoardCall extends Omit<LiveCall, "for_ms" | "waiting_ms"> {
  since: number;
  waitingSince: number | null;
}

/** Moments this near to each other are the same: answers take their time now and then. */
const SAME_MS = 1_500;

/**
 * The calls of an answer that came at `now`. One that is as it was before is the very object it was, and its row is left
 * alone: with 200 calls most rows are, with every look.
 */
export function boardCalls(fresh: readonly LiveCall[], before: readonly BoardCall[], now: number): BoardCall[] {
  const known = new Map(before.map((call) => [call.call_id, call]));
  return fresh.map(({ for_ms, waiting_ms, ...rest }) => {
    const call = { ...rest, since: now - for_ms, waitingSince: waiting_ms == null ? null : now - waiting_ms };
    const old = known.get(call.call_id);
    return old !== undefined && isSame(old, call) ? old : call;
  });
}

function isSame(old: BoardCall, { since, waitingSince, ...rest }: BoardCall): boolean {
  const near = (a: number | null, b: number | null): boolean => (a === null || b === null ? a === b : Math.abs(a - b) < SAME_MS);
  // The parts of the sentence change with the sentence.
  const keys = (Object.keys(rest) as (keyof typeof rest)[]).filter((key) => key !== "why_phrases");
  return (
    near(old.since, since) &&
    near(old.waitingSince, waitingSince) &&
    keys.length === Object.keys(old).length - 3 &&
    keys.every((key) => old[key] === rest[key])
  );
}

/** The calls that need somebody first: waiting ones by their place, then the others by age. */
export function byUrgency(calls: readonly BoardCall[]): BoardCall[] {
  const rank = ({ stage }: BoardCall): number => ["waiting", "offered", "connecting", "agent", "assistant"].indexOf(stage);
  return [...calls].sort(
    (a, b) => rank(a) - rank(b) || (a.position ?? 0) - (b.position ?? 0) || a.since - b.since,
  );
}

/** How many agents are in each of these states. */
export function counted(agents: readonly LiveAgent[], ...states: LiveAgent["state"][]): number {
  return agents.filter(({ state }) => states.includes(state)).length;
}

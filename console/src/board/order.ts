// What stands where on the wallboard. Pure.

import type { LiveAgent, LiveCall } from "../api/types";

/** The calls that need somebody first: waiting ones by their place, then the others by age. */
export function byUrgency(calls: readonly LiveCall[]): LiveCall[] {
  const rank = ({ stage }: LiveCall): number => ["waiting", "offered", "connecting", "agent", "assistant"].indexOf(stage);
  return [...calls].sort(
    (a, b) => rank(a) - rank(b) || (a.position ?? 0) - (b.position ?? 0) || b.for_ms - a.for_ms,
  );
}

/** How many agents are in each of these states. */
export function counted(agents: readonly LiveAgent[], ...states: LiveAgent["state"][]): number {
  return agents.filter(({ state }) => states.includes(state)).length;
}

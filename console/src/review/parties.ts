// Who was on the line when: people by the spans they were there, and what happened between them. Pure.

import type { CallDetail, CallEnd, PartyRecord } from "../api/types";

/** Two moments this near are one: records are written one after the other. */
const SAME_MS = 2_500;

/** One person's part, in milliseconds of the call. */
export interface Presence {
  id: string;
  who: string;
  consulted: boolean;
  from: number;
  to: number;
  /** Since when caller, agent and colleague heard each other; null: they did not. */
  together: number | null;
}

/** How an agent let go of a caller who is in nobody's hands then. */
type Gone = "waits" | "gave_on" | "parked" | "handed_back" | "lost";

/** After the others the call is over, or goes on with somebody at once. */
const GONE: Partial<Record<CallEnd, Gone>> = { transferred: "gave_on", parked: "parked", handed_back: "handed_back", agent_lost: "lost", no_sound: "lost" };
const OVER: readonly CallEnd[] = ["agent_ended", "caller_hung_up", "supervisor_ended", "server_stopped", "not_reached"];

/** Something that happened, in milliseconds of the call. `by`: who had the caller then. */
export interface Step {
  at: number;
  what: "took" | "given" | "asked" | "together" | "left" | "back" | Gone;
  who: string;
  by: string | null;
}

export interface Parties {
  people: Presence[];
  steps: Step[];
  lengthMs: number;
}

/** `now` stands in for the end of a call that goes on. */
export function partiesOf({ call, parties, contacts }: Pick<CallDetail, "call" | "parties" | "contacts">, now: number): Parties {
  const start = Date.parse(call.started_at);
  const lengthMs = Math.max(1, (call.ended_at == null ? now : Date.parse(call.ended_at)) - start);
  const people = parties.map((party) => presenceOf(party, start, lengthMs)).sort((a, b) => a.from - b.from);
  const agents = people.filter(({ consulted }) => !consulted);
  const endOf = ({ who, to }: Presence): CallEnd | null => {
    const near = (ended: string | null | undefined): boolean => ended != null && Math.abs(Date.parse(ended) - start - to) <= SAME_MS;
    return contacts.find(({ agent_id, ended_at }) => agent_id === who && near(ended_at))?.ended_by ?? null;
  };
  const steps = [...agents.flatMap((agent, i) => agentSteps(agent, agents, i, lengthMs, endOf(agent))), ...people.flatMap((one) => consultSteps(one, agents))];
  return { people, steps: steps.sort((a, b) => a.at - b.at), lengthMs };
}

function presenceOf({ id, agent_id, part, joined_at, together_at, left_at }: PartyRecord, start: number, lengthMs: number): Presence {
  const at = (text: string): number => Math.min(lengthMs, Math.max(0, Date.parse(text) - start));
  const from = at(joined_at);
  return {
    id,
    who: agent_id,
    consulted: part === "consulted",
    from,
    to: Math.max(from, left_at == null ? lengthMs : at(left_at)),
    together: together_at == null ? null : at(together_at),
  };
}

/** How somebody got the caller, and whether the caller waits afterwards. */
function agentSteps(agent: Presence, agents: readonly Presence[], i: number, lengthMs: number, end: CallEnd | null): Step[] {
  const before = agents[i - 1];
  const next = agents[i + 1];
  const steps: Step[] = [];
  if (before === undefined) steps.push({ at: agent.from, what: "took", who: agent.who, by: null });
  else if (agent.from - before.to <= SAME_MS && before.who !== agent.who) steps.push({ at: agent.from, what: "given", who: agent.who, by: before.who });
  else steps.push({ at: agent.from, what: before.who === agent.who ? "back" : "took", who: agent.who, by: null });
  const nobodyNext = next === undefined ? lengthMs - agent.to > SAME_MS : next.from - agent.to > SAME_MS;
  const isOver = end !== null && OVER.includes(end);
  if (nobodyNext && !isOver) steps.push({ at: agent.to, what: (end === null ? undefined : GONE[end]) ?? "waits", who: agent.who, by: null });
  return steps;
}

/** That somebody was asked, joined in, and went; not that they went when the caller was given to them. */
function consultSteps(one: Presence, agents: readonly Presence[]): Step[] {
  if (!one.consulted) return [];
  const by = agents.find((agent) => agent.from <= one.from && one.from <= agent.to)?.who ?? null;
  const steps: Step[] = [{ at: one.from, what: "asked", who: one.who, by }];
  if (one.together !== null) steps.push({ at: one.together, what: "together", who: one.who, by });
  const took = agents.some((agent) => agent.who === one.who && Math.abs(agent.from - one.to) <= SAME_MS);
  if (!took) steps.push({ at: one.to, what: "left", who: one.who, by });
  return steps;
}

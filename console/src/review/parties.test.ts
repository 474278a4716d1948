import { assert, test } from "vitest";

import type { CallDetail, CallEnd, PartyRecord } from "../api/types";
import { partiesOf } from "./parties";

const START = Date.parse("2026-01-01T00:00:00Z");
const at = (second: number): string => new Date(START + 1_000 * second).toISOString();

function party(agent_id: string, part: PartyRecord["part"], joined: number, left: number | null, together: number | null = null): PartyRecord {
  return {
    id: `${agent_id}-${joined}`,
    call_id: "c",
    agent_id,
    part,
    joined_at: at(joined),
    left_at: left === null ? null : at(left),
    together_at: together === null ? null : at(together),
  };
}

type Ended = readonly [agent: string, second: number, by: CallEnd];

function call(parties: PartyRecord[], ended: number | null = 100, ends: readonly Ended[] = []): Pick<CallDetail, "call" | "parties" | "contacts"> {
  const record = { id: "c", provider: "browser", provider_call_id: "p", started_at: at(0), ended_at: ended === null ? null : at(ended), outcome: "spoke_with_agent" } as const;
  const contacts = ends.map(([agent_id, second, ended_by]) => ({ id: `${agent_id}-${second}`, handoff_id: "h", call_id: "c", agent_id, began_at: at(0), ended_at: at(second), ended_by, hold_ms: 0, holds: 0 }));
  return { call: record, parties, contacts };
}

const told = (parties: PartyRecord[], ...ends: Ended[]): string[] =>
  partiesOf(call(parties, 100, ends), START + 100_000).steps.map(({ at: ms, what, who, by }) => `${ms / 1_000} ${what} ${who}${by === null ? "" : ` by ${by}`}`);

test("one person who had the caller to the end", () => {
  const { people, lengthMs } = partiesOf(call([party("ann", "agent", 20, 99)]), START);
  assert.deepEqual(people, [{ id: "ann-20", who: "ann", consulted: false, from: 20_000, to: 99_000, together: null }]);
  assert.strictEqual(lengthMs, 100_000);
  assert.deepEqual(told([party("ann", "agent", 20, 99)]), ["20 took ann"]);
});

test("a colleague is asked, all three speak, the colleague goes", () => {
  const parties = [party("ann", "agent", 20, 100), party("ben", "consulted", 40, 60, 50)];
  assert.deepEqual(told(parties), ["20 took ann", "40 asked ben by ann", "50 together ben by ann", "60 left ben by ann"]);
});

test("a caller is given to the colleague who was asked, and to somebody else", () => {
  const parties = [
    party("ann", "agent", 20, 60),
    party("ben", "consulted", 40, 60),
    party("ben", "agent", 60.4, 80),
    party("cam", "agent", 81, 100),
  ];
  assert.deepEqual(told(parties), ["20 took ann", "40 asked ben by ann", "60.4 given ben by ann", "81 given cam by ben"]);
});

test("a caller who is parked waits, and is picked up or goes back", () => {
  assert.deepEqual(told([party("ann", "agent", 20, 40), party("ben", "agent", 70, 100)]), ["20 took ann", "40 waits ann", "70 took ben"]);
  assert.deepEqual(told([party("ann", "agent", 20, 40), party("ann", "agent", 70, 100)]), ["20 took ann", "40 waits ann", "70 back ann"]);
  assert.deepEqual(told([party("ann", "agent", 20, 40)]), ["20 took ann", "40 waits ann"], "hung up while waiting");
});

test("what ended a conversation says where the caller went", () => {
  const one = [party("ann", "agent", 20, 40)];
  const two = [...one, party("ben", "agent", 70, 100)];
  assert.deepEqual(told(two, ["ann", 40.1, "parked"]), ["20 took ann", "40 parked ann", "70 took ben"]);
  assert.deepEqual(told(two, ["ann", 40.1, "transferred"]), ["20 took ann", "40 gave_on ann", "70 took ben"]);
  assert.deepEqual(told(one, ["ann", 40.1, "handed_back"]), ["20 took ann", "40 handed_back ann"]);
  assert.deepEqual(told(one, ["ann", 40.1, "agent_lost"]), ["20 took ann", "40 lost ann"]);
  assert.deepEqual(told(one, ["ann", 40.1, "agent_ended"]), ["20 took ann"], "then the call is over");
  assert.deepEqual(told(two, ["ben", 40.1, "parked"]), ["20 took ann", "40 waits ann", "70 took ben"], "that was somebody else");
});

test("whoever is still there is there until now", () => {
  const { people } = partiesOf(call([party("ann", "agent", 20, null)], null), START + 50_000);
  assert.strictEqual(people[0]?.to, 50_000);
  assert.deepEqual(partiesOf(call([], null), START + 50_000), { people: [], steps: [], lengthMs: 50_000 });
});

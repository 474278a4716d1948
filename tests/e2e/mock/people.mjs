// Keys, shifts and telephones; kept while the mock runs.

import { randomUUID } from "node:crypto";

const DAY = 86_400_000;
const HOUR = 3_600_000;
const iso = (ms) => new Date(ms).toISOString();
/** So many days from today, at this hour here. */
const at = (days, hour) => {
  const time = new Date(Date.now() + days * DAY);
  time.setHours(hour, 0, 0, 0);
  return time.getTime();
};
const block = (days, from, to) => ({ id: randomUUID(), began_at: iso(at(days, from)), ended_at: iso(at(days, to)) });

const keys = [
  { id: randomUUID(), name: "Reporting", role: "supervisor", ending: "x7Q2", made_by: "sam", made_at: iso(Date.now() - 40 * DAY), expires_at: iso(Date.now() + 50 * DAY), last_used_at: iso(Date.now() - 2 * HOUR), revoked_at: null },
  { id: randomUUID(), name: "Status board in the hall", role: "agent", ending: "Lm_4", made_by: "sam", made_at: iso(Date.now() - 3 * DAY), expires_at: iso(Date.now() + 27 * DAY), last_used_at: null, revoked_at: null },
  { id: randomUUID(), name: "Trial", role: "admin", ending: "0aB-", made_by: "sam", made_at: iso(Date.now() - 90 * DAY), expires_at: iso(Date.now() - 60 * DAY), last_used_at: null, revoked_at: iso(Date.now() - 70 * DAY) },
];
const planned = (shift, agent_id) => ({ ...shift, agent_id, scheduled_by: "sam", scheduled_at: iso(Date.now() - 2 * DAY), released_at: null });
let shifts = ["dana", "newby", "sam"].flatMap((agent, i) => [planned(block(0, 8, 23), agent), planned(block(2 + i, 9, 13), agent)]);
shifts[2].released_at = iso(Date.now() - HOUR);
const offered = (shift) => ({ ...shift, offered_by: "sam", offered_at: iso(Date.now() - DAY) });
const evening = block(6, 17, 21);
let open = [offered(block(3, 14, 18)), offered(evening), offered({ ...evening, id: randomUUID() })];
const telephones = new Map([["dana", "+44 20 7946 0111"]]);
const own = new Set();
const ringing = new Set();

function telephone({ id }) {
  const number = telephones.get(id);
  return { number: number === undefined ? null : `…${number.slice(-2)}`, is_own: own.has(id), may_choose: true, can_ring: true, is_on: ringing.has(id) };
}

/** Answers what is asked about people; false when it is something else. */
export async function people({ request, response, route, path, user, users, bodyOf, json, problem }) {
  if (route === "GET /api/v1/people") return json(response, 200, [...users.values()].map(({ id, name, role }) => ({ id, name, role })));
  if (route === "GET /api/v1/keys") return json(response, 200, keys);
  if (route === "POST /api/v1/keys") {
    const { name, role, days } = await bodyOf(request);
    const key = { id: randomUUID(), name, role, ending: "9fKe", made_by: user.id, made_at: iso(Date.now()), expires_at: iso(Date.now() + days * DAY), last_used_at: null, revoked_at: null };
    keys.unshift(key);
    return json(response, 201, { key, token: "warmline_Yq3vX0yq2m1hTnS8cW6rJ4uLkZpB7dEoAaGiV5t9fKe" });
  }
  if (request.method === "DELETE" && path.startsWith("/api/v1/keys/")) {
    const key = keys.find(({ id }) => path.endsWith(id));
    if (key === undefined) return problem(response, 404, "not_found", "Key not found.");
    key.revoked_at ??= iso(Date.now());
    return json(response, 200, key);
  }
  if (route === "GET /api/v1/shifts") return json(response, 200, shifts.filter(({ agent_id }) => user.role !== "agent" || agent_id === user.id));
  if (route === "GET /api/v1/open-shifts") return json(response, 200, open);
  if (route === "POST /api/v1/shifts") {
    const { agent_id, ...times } = await bodyOf(request);
    const clashes = shifts.some((shift) => shift.agent_id === agent_id && shift.began_at < times.ended_at && times.began_at < shift.ended_at);
    if (clashes) return problem(response, 409, "conflict", "The agent has another shift then.");
    shifts.push(planned({ id: randomUUID(), ...times }, agent_id));
    return json(response, 200, shifts.at(-1));
  }
  if (route === "POST /api/v1/open-shifts") {
    const { people: n, ...times } = await bodyOf(request);
    const made = Array.from({ length: n }, () => offered({ id: randomUUID(), ...times }));
    open.push(...made);
    return json(response, 201, made);
  }
  const [, which, id, what] = /^\/api\/v1\/(shifts|open-shifts)\/([^/]+)(?:\/([a-z-]+))?$/.exec(path) ?? [];
  const shift = (which === "shifts" ? shifts : open).find((each) => each.id === id);
  if (which !== undefined && shift === undefined) return problem(response, 409, "conflict", "Somebody took this shift, it has begun, or you have another one then.");
  if (what === "take") {
    open = open.filter((each) => each !== shift);
    shifts.push(planned(shift, user.id));
    return json(response, 200, shifts.at(-1));
  }
  if (what === "give-back") {
    shifts = shifts.filter((each) => each !== shift);
    open.push(offered(shift));
    return json(response, 200, open.at(-1));
  }
  if (what === "release") {
    shift.released_at ??= iso(Date.now());
    return json(response, 200, shift);
  }
  if (which === "open-shifts" && request.method === "DELETE") {
    open = open.filter((each) => each !== shift);
    return json(response, 204);
  }
  if (route.startsWith("GET /api/v1/ledger")) return ledger(request, response, json);
  if (route === "GET /api/v1/telephone") return json(response, 200, telephone(user));
  if (route === "PUT /api/v1/telephone") {
    const { number } = await bodyOf(request);
    if (!/^\+44[\d ]+$/.test(number)) return problem(response, 400, "bad_request", "Only numbers that begin with +44 may be chosen.");
    telephones.set(user.id, number);
    own.add(user.id);
    return json(response, 200, telephone(user));
  }
  if (route === "DELETE /api/v1/telephone") {
    own.delete(user.id);
    return json(response, 200, telephone(user));
  }
  if (route === "POST /api/v1/telephone/off") {
    ringing.delete(user.id);
    return json(response, 204);
  }
  if (route === "POST /api/v1/telephone/on") {
    ringing.add(user.id);
    return json(response, 204);
  }
  return false;
}

/** A morning's work on each of some days. */
function ledger(request, response, json) {
  const url = new URL(request.url, "http://mock");
  const since = Date.parse(url.searchParams.get("since"));
  const [HOUR, DAY] = [3_600_000, 86_400_000];
  const entries = [];
  for (let day = new Date().setHours(8, 0, 0, 0); day >= since && day > since - DAY; day -= DAY) {
    const times = [["available", "standby", 0, 1.1], ["on_contact", "work", 1.1, 1.6], ["wrap_up", "work", 1.6, 1.7], ["break", "none", 1.7, 2], ["on_contact", "work", 2, 3.4], ["available", "standby", 3.4, 4]];
    for (const [state, paid, from, to] of times) {
      entries.push({ id: randomUUID(), agent_id: "dana", state, code: null, class: paid, began_at: iso(day + from * HOUR), ended_at: iso(day + to * HOUR) });
    }
  }
  if (url.searchParams.get("format") === "csv") {
    response.writeHead(200, { "Content-Type": "text/csv; charset=utf-8" });
    return response.end(`began_at,ended_at,state,code,class,milliseconds\r\n${entries.map(({ began_at, ended_at, state, class: paid }) => `${began_at},${ended_at},${state},"",${paid},0`).join("\r\n")}\r\n`);
  }
  json(response, 200, { totals_ms: {}, entries });
}

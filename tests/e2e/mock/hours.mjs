// Opening hours: a stand-in that understands what the form writes.

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const SPANS = /^\d\d:\d\d-\d\d:\d\d(, \d\d:\d\d-\d\d:\d\d)*$/;
/** Of another year, so that today is a day like any other. */
const YEAR = new Date().getFullYear() + 1;
const OFFICE = { zone: "Europe/Berlin", weekly: ["mon-fri 08:00-18:00", "sat 09:00-13:00"], days: [`${YEAR}-12-24 09:00-12:00`, `${YEAR}-12-25`] };
const kept = new Map();

const minutes = (text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
const spansOf = (hours) => hours.split(", ").map((span) => ({ from: minutes(span.slice(0, 5)), to: minutes(span.slice(6)) || 1_440 }));

function problemsOf({ zone, weekly, days }) {
  const problems = [];
  if (zone !== "UTC" && !zone.includes("/")) problems.push({ part: "zone", line: 0, reason: `\`${zone}\` must be a time zone such as Europe/Berlin` });
  if (weekly.length === 0) problems.push({ part: "weekly", line: 0, reason: "must say when it is open, such as `mon-fri 08:00-18:00`" });
  const wrong = (part, line, hours) => problems.push({ part, line, reason: `\`${hours}\` must be hours such as 08:00-18:00`, phrase: { reason: "hours_span", values: { given: hours } } });
  weekly.forEach((text, line) => SPANS.test(text.split(" ").slice(1).join(" ")) || wrong("weekly", line, text.split(" ")[1] ?? ""));
  days.forEach((text, line) => text.length === 10 || SPANS.test(text.slice(11)) || wrong("days", line, text.slice(11)));
  return problems;
}

function openOn(date, { weekly, days }) {
  const name = DAYS[(date.getDay() + 6) % 7];
  const text = `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
  const special = days.find((each) => each.startsWith(text));
  if (special !== undefined) return { date: text, open: special.length === 10 ? [] : spansOf(special.slice(11)) };
  const open = weekly.flatMap((line) => {
    const [which, ...hours] = line.split(" ");
    const [from, to = from] = which.split("-");
    const at = DAYS.indexOf(name);
    return DAYS.indexOf(from) <= at && at <= DAYS.indexOf(to) ? spansOf(hours.join(" ")) : [];
  });
  return { date: text, open };
}

/** As if the calendar's clock were ours. */
function stand(hours) {
  const now = new Date();
  const days = Array.from({ length: 14 }, (_, i) => openOn(new Date(now.getFullYear(), now.getMonth(), now.getDate() + i), hours));
  const minute = now.getHours() * 60 + now.getMinutes();
  const moment = (i, at) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + i, 0, at).toISOString();
  const current = days[0].open.find(({ from, to }) => from <= minute && minute < to);
  const spans = days.flatMap(({ open }, i) => open.map((span) => ({ ...span, i })));
  const next = spans.find(({ from, i }) => i > 0 || from > minute);
  return {
    days,
    is_open: current !== undefined,
    opens_at: current !== undefined || next === undefined ? null : moment(next.i, next.from),
    closes_at: current === undefined ? null : moment(0, current.to),
  };
}

function inForce() {
  const all = new Map([["office", { ...OFFICE, queues: ["billing"] }], ...kept]);
  return [...all].map(([name, hours]) => {
    const { is_open, opens_at, closes_at } = stand(hours);
    const queues = name === "office" ? ["billing"] : hours.queues;
    return { name, ...hours, queues, callbacks: name === "office", is_changed: kept.has(name), is_configured: name === "office", is_open, opens_at, closes_at };
  });
}

/** Answers what is asked about hours; false when it is something else. */
export async function hours({ request, response, route, path, bodyOf, json, problem }) {
  if (route === "GET /api/v1/hours") return json(response, 200, inForce());
  if (route === "POST /api/v1/hours/preview") {
    const body = await bodyOf(request);
    const problems = problemsOf(body);
    if (problems.length > 0) return json(response, 200, { problems, is_open: null, opens_at: null, closes_at: null, days: [] });
    return json(response, 200, { problems, ...stand(body) });
  }
  if (!path.startsWith("/api/v1/hours/")) return false;
  const name = decodeURIComponent(path.slice(14));
  if (request.method === "DELETE") {
    kept.delete(name);
    return json(response, 200, inForce());
  }
  const body = await bodyOf(request);
  if (problemsOf(body).length > 0) return problem(response, 400, "bad_request", "Line 1 of the week is wrong.");
  kept.set(name, body);
  return json(response, 200, inForce());
}

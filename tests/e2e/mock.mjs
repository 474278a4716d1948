// A stand-in for the server: serves the pages, speaks both websocket dialects, and plays one scripted front desk.
//
//   node mock.mjs [PORT]        accounts: dana / desk-password (agent), sam / desk-password (admin),
//                               newby / one-time (must choose a password)
//
// For developing the pages and for their tests; it is no reference for the server's behaviour.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";

import { MockCall, MockDesk } from "./mock/desk.mjs";
import { KNOWLEDGE, found } from "./mock/knowledge.mjs";
import { hours } from "./mock/hours.mjs";
import { agentNumbers, intervals, liveNumbers, metrics } from "./mock/metrics.mjs";
import { queues } from "./mock/queues.mjs";
import { review } from "./mock/review.mjs";
import { operator } from "./mock/operator.mjs";
import { people } from "./mock/people.mjs";
import { calls, detail, messages, newCall, recordingOf } from "./mock/records.mjs";

const SITE = fileURLToPath(new URL("../../console/dist/site/", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
// As in src/web/console/mod.rs.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; " +
  "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PAGES = /^\/(agent|messages|calls(\/[^/]+)?|configuration|knowledge(\/[^/]+)?|engines|people|setup|shifts|wallboard)?$/;
/** Sites that may show the call button, as `browser.widget_origins`. */
const WIDGET_ORIGINS = (process.env.MOCK_WIDGET_ORIGINS ?? "").split(" ").filter((origin) => origin !== "");

const users = new Map([
  ["dana", { id: "dana", name: "dana", role: "agent", password: "desk-password", must_change_password: false }],
  ["sam", { id: "sam", name: "sam", role: "admin", password: "desk-password", must_change_password: false }],
  ["newby", { id: "newby", name: "newby", role: "agent", password: "one-time", must_change_password: true }],
]);
const STATUS = {
  name: "Larkfield",
  instance: "6f1c",
  version: "0.1.0",
  taking_calls: true,
  engines: { vad: "ready", stt: "ready", llm: "starting", tts: "ready" },
  live_calls: 2,
  browser_calls: true,
};
const MEANS = {
  assistant: { scores: 41, resolved: 3.8, correct: 4.7, effort: 4.1, tone: 4.0 },
  people: { scores: 36, resolved: 4.6, correct: 4.5, effort: 3.9, tone: 4.6 },
};
const sessions = new Map();
const tokens = new Set();
const desk = new MockDesk({ offerMs: Number(process.env.MOCK_OFFER_MS ?? 20_000), wrapUpMs: Number(process.env.MOCK_WRAP_MS ?? 60_000) });
let busy = false;

function json(response, status, body, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers });
  response.end(body === undefined ? "" : JSON.stringify(body));
}

const problem = (response, status, code, message, more = {}) => json(response, status, { code, message, ...more });

function userOf(request) {
  const token = /(?:^|; )warmline_session=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
  return sessions.get(token);
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString();
  return text === "" ? {} : JSON.parse(text);
}

async function file(response, path, status = 200, policy = POLICY) {
  const full = join(SITE, normalize(`/${path}`));
  try {
    const body = await readFile(full);
    response.writeHead(status, {
      "Content-Type": TYPES[extname(full)] ?? "application/octet-stream",
      "Content-Security-Policy": policy,
      "Cache-Control": "no-cache",
      "X-Content-Type-Options": "nosniff",
    });
    response.end(body);
  } catch {
    if (path === "index.html") throw new Error("the console is not built: npm run build --prefix console");
    await file(response, "index.html", 404);
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://mock");
  const path = url.pathname;
  try {
    if (path.startsWith("/assets/") || path === "/mark.svg") return await file(response, path.slice(1));
    if (path === "/widget.js") return await file(response, "widget.js");
    if (path === "/widget") return await file(response, "index.html", 200, POLICY.replace("frame-ancestors 'none'", `frame-ancestors ${WIDGET_ORIGINS.join(" ") || "'none'"}`));
    if (path === "/readyz") return json(response, 200, { ready: true, reasons: [], degraded: ["llm failed: the worker stopped; it is being started again"] });
    if (path === "/metrics") return response.end(metrics());
    if (PAGES.test(path)) return await file(response, "index.html");
    if (path.startsWith("/api/") || path.startsWith("/mock/")) return await rest(request, response, path, url);
    await file(response, "index.html", 404);
  } catch (error) {
    console.error(path, error);
    problem(response, 500, "internal", "The mock failed.");
  }
});

async function rest(request, response, path, url) {
  const route = `${request.method} ${path}`;
  if (route === "POST /api/v1/browser-call") {
    if (busy) return problem(response, 503, "busy", "All lines are busy at the moment. Please try again in a few minutes.");
    const token = randomUUID();
    tokens.add(token);
    return json(response, 200, { token, url: `ws://${request.headers.host}/media/browser`, expires_in_s: 60 });
  }
  if (route === "POST /api/v1/session") {
    const { name, password } = await bodyOf(request);
    const user = users.get(name);
    if (user === undefined || user.password !== password) return problem(response, 401, "wrong_credentials", "Name or password is wrong.");
    return json(response, 200, account(user), newSession(user));
  }
  if (path.startsWith("/mock/")) return control(response, path, url);
  if (route === "GET /api/v1/widget") {
    const origin = request.headers.origin ?? "";
    if (!WIDGET_ORIGINS.includes(origin)) return problem(response, 403, "cross_origin", "Requests from other sites are refused.");
    return json(response, 200, { name: STATUS.name, taking_calls: true }, { "Access-Control-Allow-Origin": origin, Vary: "origin" });
  }
  if (route === "GET /api/v1/status") return json(response, 200, STATUS);
  const user = userOf(request);
  if (user === undefined) return problem(response, 401, "not_signed_in", "Please sign in.");
  if (route === "GET /api/v1/session") return json(response, 200, account(user));
  if (route === "DELETE /api/v1/session") {
    for (const [token, owner] of sessions) if (owner === user) sessions.delete(token);
    return json(response, 204);
  }
  if (route === "POST /api/v1/password") {
    const { old, new: chosen } = await bodyOf(request);
    if (old !== user.password) return problem(response, 401, "wrong_credentials", "Name or password is wrong.");
    if (chosen.length < 10) return problem(response, 422, "weak_password", "The new password needs at least 10 characters.");
    user.password = chosen;
    user.must_change_password = false;
    return json(response, 200, account(user), newSession(user));
  }
  if (route === "GET /api/v1/live") return json(response, 200, desk.live());
  if (route === "GET /api/v1/metrics/intervals") return json(response, 200, intervals(url.searchParams));
  if (route === "GET /api/v1/metrics/live") return json(response, 200, liveNumbers(desk.live()));
  if (route === "GET /api/v1/metrics/agents") return json(response, 200, agentNumbers());
  if (route === "GET /api/v1/scores") return json(response, 200, MEANS);
  if (route === "GET /api/v1/day") return json(response, 200, { offered: 9, accepted: 7, declined: 1, missed: 1, talk_ms: 2_412_000 });
  if (route === "GET /api/v1/knowledge") return json(response, 200, KNOWLEDGE);
  if (route === "GET /api/v1/knowledge/search") return json(response, 200, found(url.searchParams.get("q") ?? ""));
  if ((await queues({ request, response, route, path, user, bodyOf, json, problem })) !== false) return;
  if ((await hours({ request, response, route, path, bodyOf, json, problem })) !== false) return;
  if ((await people({ request, response, route, path, user, users, bodyOf, json, problem })) !== false) return;
  if ((await operator({ request, response, route, path, hadCalls: process.env.MOCK_FIRST_RUN === undefined, bodyOf, json, problem })) !== false) return;
  if (route === "POST /api/v1/users") {
    const { name, role } = await bodyOf(request);
    if (users.has(name)) return problem(response, 409, "conflict", "The account exists already.");
    users.set(name, { id: name, name, role, password: "one-time", must_change_password: true });
    return json(response, 201, { name, one_time_password: "amber-plinth-47" });
  }
  const owner = /^\/api\/v1\/users\/([^/]+)(\/password)?$/.exec(path);
  if (owner !== null && request.method === "DELETE") {
    users.delete(owner[1]);
    return json(response, 204);
  }
  if (owner !== null) return json(response, 200, { name: owner[1], one_time_password: "copper-harbour-12" });
  if (route === "GET /api/v1/users") return json(response, 200, [...users.values()].map(account));
  if (route === "GET /api/v1/calls") {
    const page = calls(url.searchParams);
    return json(response, 200, { ...page, calls: page.calls.map(shown) });
  }
  if (route === "GET /api/v1/messages") return json(response, 200, messages.filter((each) => url.searchParams.get("open") === "false" || each.done_at === null));
  if ((await review({ request, response, path, user, call: (id) => detail(id)?.call, bodyOf, json, problem })) !== false) return;
  const one = /^\/api\/v1\/(calls|messages)\/([^/]+)(\/recording|\/audio|\/done)?$/.exec(path);
  if (one?.[3] === "/recording" || one?.[3] === "/audio") {
    const body = recordingOf(one[2]);
    response.writeHead(200, { "Content-Type": "audio/wav", "Content-Length": body.length, "Accept-Ranges": "none" });
    return response.end(body);
  }
  if (one?.[1] === "messages" && one[3] === "/done") {
    const message = messages.find((each) => each.id === one[2]);
    Object.assign(message, { done_by: user.id, done_at: new Date().toISOString() });
    return json(response, 200, message);
  }
  if (one?.[1] === "calls" && one[3] === undefined) {
    const found = detail(one[2]);
    if (found === undefined) return problem(response, 404, "not_found", "There is no such call.");
    return json(response, 200, { ...found, call: shown(found.call) });
  }
  problem(response, 404, "not_found", "There is no such thing.");
}

/** As everybody sees a call. */
function shown(call) {
  return { ...call, from: masked(call.from), to: masked(call.to) };
}

/** A number without a reason to see it. */
function masked(number) {
  return number === null ? null : `…${number.slice(-2)}`;
}

/** What a test or a developer can make happen. */
function control(response, path, url) {
  if (path === "/mock/offer") desk.request(null, url.searchParams.get("reason") ?? "caller_asked");
  if (path === "/mock/offers") desk.offerMs = Number(url.searchParams.get("ms"));
  if (path === "/mock/call") newCall();
  if (path === "/mock/busy") busy = url.searchParams.get("on") === "true";
  if (path === "/mock/drop-agent") desk.dropAgents();
  if (path === "/mock/caller-hangs-up") desk.callerHangsUp();
  if (path === "/mock/drop-caller") MockCall.dropAll();
  json(response, 200, {});
}

function newSession(user) {
  const token = randomUUID();
  sessions.set(token, user);
  return { "Set-Cookie": `warmline_session=${token}; HttpOnly; SameSite=Strict; Path=/` };
}

function account({ id, name, role, must_change_password }) {
  return { id, name, role, must_change_password };
}

const sockets = new WebSocketServer({ noServer: true });
server.on("upgrade", (request, socket, head) => {
  const path = new URL(request.url, "http://mock").pathname;
  const user = userOf(request);
  if (path === "/agent/ws" && user === undefined) {
    socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
    return;
  }
  if (path !== "/agent/ws" && path !== "/media/browser") {
    socket.destroy();
    return;
  }
  sockets.handleUpgrade(request, socket, head, (ws) => {
    if (path === "/agent/ws") desk.connect(ws, user);
    else new MockCall(ws, tokens, desk);
  });
});

const port = Number(process.argv[2] ?? process.env.PORT ?? 0);
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));

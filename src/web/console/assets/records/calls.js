// The list of calls, and one call with everything that is known about it.

import { api } from "../lib/api.js";
import { fill, h, icon } from "../lib/dom.js";
import { clock, duration, when } from "../lib/format.js";
import { requireSession } from "../lib/session.js";
import { outcome, providerName } from "../lib/words.js";
import { callDetail } from "./detail.js";
import { agentNames, outcomeKind, showProblem } from "./common.js";

const PAGE = 50;
const REFRESH_MS = 10_000;
const main = document.getElementById("main");

start();

async function start() {
  const me = await requireSession(main);
  const id = location.pathname.match(/^\/calls\/([^/]+)\/?$/)?.[1];
  try {
    if (id === undefined) await showList(me);
    else await showCall(id, me);
  } catch (error) {
    showProblem(main, error);
  }
}

async function showCall(id, me) {
  const [detail, nameOf] = await Promise.all([api("GET", `/api/v1/calls/${encodeURIComponent(id)}`), agentNames(me)]);
  document.title = `Call of ${when(detail.call.started_at)} · Warmline`;
  fill(main, callDetail(detail, { hears: me.role !== "agent", nameOf }));
}

async function showList(me) {
  let { calls: newest, next } = await load();
  const body = h("tbody");
  const more = h("button", { class: "button", type: "button", hidden: next === null }, "Show older calls");
  const empty = h("p", { class: "empty", hidden: newest.length > 0 }, "No calls yet. They appear here as soon as somebody calls.");
  const lead = me.role === "agent" ? "The calls you took." : "Newest first. Calls on the line now are marked.";
  const table = h(
    "table",
    { class: "records", hidden: newest.length === 0 },
    h(
      "thead",
      {},
      h("tr", {}, ["Began", "Caller", "By way of", "Length", "Outcome"].map((name) => h("th", { scope: "col" }, name))),
    ),
    body,
  );
  fill(
    main,
    h(
      "div",
      { class: "page" },
      h("header", { class: "page-head" }, h("div", {}, h("h1", {}, "Calls"), h("p", { class: "soft" }, lead))),
      h("div", { class: "card flush" }, table, empty),
      h("div", { class: "page-foot" }, more),
    ),
  );
  let older = [];
  const rows = new Map();
  const render = () => {
    // Newer records replace what an older page said of the same call.
    const calls = [...newest, ...older.filter((call) => !newest.some((other) => other.id === call.id))];
    table.hidden = calls.length === 0;
    empty.hidden = calls.length > 0;
    calls.forEach((call, i) => {
      const known = rows.get(call.id);
      const said = JSON.stringify(call);
      if (known?.said !== said) {
        const row = callRow(call);
        if (known === undefined) body.insertBefore(row, body.children[i] ?? null);
        else replaceKeepingFocus(known.row, row);
        rows.set(call.id, { said, row });
      }
    });
  };
  render();
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const page = await load(next);
      older = [...older, ...page.calls];
      next = page.next;
      more.hidden = next === null;
      render();
    } catch (error) {
      showProblem(main.querySelector(".page-foot"), error);
    }
    more.disabled = false;
  });
  setInterval(async () => {
    if (document.visibilityState !== "visible") return;
    const page = await load().catch(() => null);
    if (page === null) return;
    const gone = newest.filter((call) => !page.calls.some((other) => other.id === call.id));
    older = [...gone, ...older];
    newest = page.calls;
    render();
  }, REFRESH_MS);
}

async function load(before) {
  const query = new URLSearchParams({ limit: PAGE, ...(before === undefined ? {} : { before }) });
  const { calls, next } = await api("GET", `/api/v1/calls?${query}`);
  return { calls, next: next ?? null };
}

function callRow(call) {
  const live = call.outcome === "live";
  const length = live ? null : Date.parse(call.ended_at) - Date.parse(call.started_at);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("a", { class: "row-link", href: `/calls/${call.id}` }, when(call.started_at))),
    h("td", { "data-label": "Caller" }, call.from ?? "Unknown"),
    h("td", { "data-label": "By way of" }, providerName(call.provider)),
    h(
      "td",
      { class: "figures", "data-label": "Length" },
      Number.isFinite(length) && length !== null ? h("span", { "aria-label": duration(length) }, clock(length)) : "–",
    ),
    h(
      "td",
      { "data-label": "Outcome" },
      h("span", { class: `tag ${outcomeKind(call.outcome)}` }, outcome(call.outcome)),
      call.recording !== null && h("span", { class: "recorded", title: "Recorded" }, icon("play"), h("span", { class: "out-of-sight" }, "Recorded")),
    ),
  );
}

function replaceKeepingFocus(old, row) {
  const focused = old.contains(document.activeElement);
  old.replaceWith(row);
  if (focused) row.querySelector("a")?.focus();
}

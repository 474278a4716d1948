// Voice messages and callback wishes: hear them, call back, mark them done.

import { api } from "../lib/api.js";
import { fill, h, icon, setText } from "../lib/dom.js";
import { count, when } from "../lib/format.js";
import { requireSession } from "../lib/session.js";
import { player, showProblem } from "./common.js";

const REFRESH_MS = 15_000;
const main = document.getElementById("main");

start();

async function start() {
  const me = await requireSession(main);
  try {
    await show(me);
  } catch (error) {
    showProblem(main, error);
  }
}

async function show(me) {
  // An agent's own calls are theirs to see; that of a message is mostly somebody else's.
  const seesCalls = me.role !== "agent";
  let all = false;
  const lead = h("p", { class: "soft", role: "status" });
  const items = new Map();
  const list = h("ul", { class: "messages" });
  const empty = h("div", { class: "card empty", hidden: true }, icon("check"), h("p", {}));
  const choice = (text, value) =>
    h("button", { class: "choice", type: "button", "aria-pressed": String(all === value), onclick: () => choose(value) }, text);
  const choices = [choice("Open", false), choice("All", true)];
  fill(
    main,
    h(
      "div",
      { class: "page narrow" },
      h(
        "header",
        { class: "page-head" },
        h("div", {}, h("h1", {}, "Messages"), lead),
        h("div", { class: "choices", role: "group", "aria-label": "Which messages" }, choices),
      ),
      list,
      empty,
    ),
  );
  async function choose(value) {
    all = value;
    choices.forEach((button, i) => button.setAttribute("aria-pressed", String(Boolean(i) === all)));
    await refresh().catch((error) => setText(lead, error.message));
  }
  async function refresh() {
    const messages = await load(all);
    const wanted = new Set(messages.map((message) => message.id));
    for (const [id, item] of items) {
      if (wanted.has(id)) continue;
      item.root.remove();
      items.delete(id);
    }
    messages.forEach((message, i) => {
      const known = items.get(message.id);
      // A card is only rebuilt when it changed: one that plays goes on playing.
      if (known?.done === (message.done_at !== null)) return;
      const root = card(message, refresh, seesCalls);
      if (known === undefined) list.insertBefore(root, list.children[i] ?? null);
      else known.root.replaceWith(root);
      items.set(message.id, { root, done: message.done_at !== null });
    });
    const open = messages.filter((message) => message.done_at === null).length;
    setText(lead, open === 0 ? "Nothing to do." : `${count(open, "message")} to take care of.`);
    empty.hidden = messages.length > 0;
    setText(empty.lastElementChild, all ? "Nobody has left a message yet." : "Nothing to do. New messages appear here.");
  }
  await refresh();
  setInterval(() => {
    if (document.visibilityState === "visible") refresh().catch(() => {});
  }, REFRESH_MS);
}

async function load(all) {
  return api("GET", `/api/v1/messages?open=${!all}`);
}

function card(message, refresh, seesCalls) {
  const voicemail = message.kind === "voicemail";
  const done = message.done_at !== null;
  const problem = h("p", { class: "field-error", role: "alert" });
  const button = h("button", { class: "button", type: "button" }, icon("check"), "Mark done");
  button.addEventListener("click", async () => {
    button.disabled = true;
    setText(problem, "");
    try {
      await api("POST", `/api/v1/messages/${encodeURIComponent(message.id)}/done`);
      await refresh();
    } catch (error) {
      button.disabled = false;
      setText(problem, error.message);
    }
  });
  const title = voicemail ? "Voice message" : "Callback wanted";
  return h(
    "li",
    { class: "card message", "data-done": String(done) },
    h("span", { class: "message-picture", "aria-hidden": "true" }, icon(voicemail ? "voicemail" : "callback")),
    h(
      "div",
      { class: "message-body" },
      h("h2", {}, title),
      h("p", { class: "soft" }, when(message.created_at), seesCalls && [" · ", h("a", { href: `/calls/${message.call_id}` }, "the call")]),
      message.number !== null && h("p", { class: "message-number" }, h("a", { href: `tel:${message.number.replaceAll(/[^+\d*#]/g, "")}` }, message.number)),
      message.text !== null && message.text !== "" && h("blockquote", {}, message.text),
      message.recording !== null && player(`/api/v1/messages/${message.id}/audio`, `${title}, ${when(message.created_at)}`).root,
      problem,
    ),
    h(
      "div",
      { class: "message-action" },
      done ? h("span", { class: "tag good" }, icon("check"), `Done ${when(message.done_at)}`) : button,
    ),
  );
}

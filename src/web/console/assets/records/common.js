// What the lists of calls and messages share.

import { api } from "../lib/api.js";
import { fill, h, icon } from "../lib/dom.js";

const GOOD = new Set(["spoke_with_agent", "ended_with_assistant", "bridged", "back_to_assistant"]);
const WARM = new Set(["live", "open", "left_message", "callback_booked"]);

/** The colour of an outcome. */
export function outcomeKind(word) {
  if (GOOD.has(word)) return "good";
  if (WARM.has(word)) return "warm";
  return word === "abandoned_in_queue" || word === "interrupted" ? "bad" : "";
}

/** Names for agents' ids, as far as this account may know them: administrators all, others their own. */
export async function agentNames(me) {
  const users = me.role === "admin" ? await api("GET", "/api/v1/users").catch(() => []) : [];
  const names = new Map([[me.id, me.name], ...users.map((user) => [user.id, user.name])]);
  return (id) => names.get(id) ?? "an agent";
}

/** Says why a page can't be shown, with a way out. */
export function showProblem(mount, error) {
  const again = h("button", { class: "button primary", type: "button", onclick: () => location.reload() }, "Try again");
  if (error.status === undefined) console.error(error);
  const text = error.status === undefined ? "This page could not be shown." : error.message;
  fill(
    mount,
    h(
      "div",
      { class: "middle" },
      h("div", { class: "card", role: "alert" }, h("h1", {}, error.status === 404 ? "Not found" : "That did not work"), h("p", {}, text), again),
    ),
  );
}

/** A player for a recording; says so when the file can't be had. */
export function player(source, label) {
  const audio = h("audio", { controls: true, preload: "metadata", src: source, "aria-label": label });
  const problem = h("p", { class: "notice bad", hidden: true }, icon("warning"), h("span", {}, "This recording can’t be played. It may have been deleted, or your account may not hear it."));
  audio.addEventListener("error", () => {
    audio.hidden = true;
    problem.hidden = false;
  });
  return { root: h("div", { class: "player" }, audio, problem), audio };
}

// One call: what was said, why a person was called, where the time went.

import { h, icon } from "../lib/dom.js";
import { clock, duration, when, words } from "../lib/format.js";
import { offerResult, outcome, providerName, reasonTitle, speaker } from "../lib/words.js";
import { outcomeKind, player } from "./common.js";

const STAGES = [
  ["endpointing_ms", "Waiting for the end of speech"],
  ["stt_ms", "Recognition"],
  ["llm_ms", "Finding the answer"],
  ["tts_ms", "Voice"],
];

/** `hears`: whether this account may hear recordings; `nameOf`: an agent's name by id. */
export function callDetail({ call, turns, triggers, handoffs, offers, messages, wrap_ups }, { hears, nameOf }) {
  const playable = hears && call.recording !== null && call.ended_at !== null;
  const recording = !playable ? null : player(`/api/v1/calls/${call.id}/recording`, "Recording of the call");
  const begins = call.notice_at_ms ?? 0;
  const seek = (ms) => {
    recording.audio.currentTime = Math.max(0, (ms - begins) / 1_000);
    recording.audio.play().catch(() => {});
  };
  const slowest = Math.max(1, ...turns.map((turn) => turn.timings?.response_ms ?? 0));
  const length = call.ended_at === null ? null : Date.parse(call.ended_at) - Date.parse(call.started_at);
  return h(
    "div",
    { class: "page" },
    h(
      "header",
      { class: "page-head" },
      h(
        "div",
        {},
        h("a", { class: "back", href: "/calls" }, icon("back"), "All calls"),
        h("h1", {}, when(call.started_at)),
      ),
      h("span", { class: `tag ${outcomeKind(call.outcome)}` }, outcome(call.outcome)),
    ),
    h(
      "div",
      { class: "detail" },
      h(
        "section",
        { class: "card", "aria-labelledby": "said" },
        h("h2", { id: "said" }, "What was said"),
        recording?.root ?? h("p", { class: "soft" }, noRecording(call)),
        turns.length === 0 ? h("p", { class: "empty" }, "Nothing was said.") : null,
        h(
          "ol",
          { class: "turns" },
          turns.map((turn) => turnItem(turn, slowest, recording === null || turn.ended_ms <= begins ? null : seek)),
        ),
        turns.some((turn) => turn.timings) && timingLegend(),
      ),
      h(
        "div",
        { class: "aside" },
        facts(call, length),
        triggers.length > 0 && section("Why a person", triggers.map(triggerItem)),
        handoffs.length > 0 && section("Hand-over", handoffs.map((handoff) => handoffItem(handoff, offers, nameOf))),
        wrap_ups.length > 0 && section("Notes", wrap_ups.map((note) => noteItem(note, nameOf))),
        messages.length > 0 && section("Messages", messages.map(messageItem)),
      ),
    ),
  );
}

function noRecording(call) {
  if (call.ended_at === null) return "The call is still going on. If it is recorded, it can be heard afterwards.";
  return call.recording === null ? "There is no recording of this call." : "Supervisors can hear the recording of this call.";
}

function section(title, items) {
  return h("section", { class: "card" }, h("h2", {}, title), h("ul", { class: "items" }, items));
}

function facts(call, length) {
  const rows = [
    ["Caller", call.from ?? "Unknown"],
    ["Called", call.to],
    ["By way of", providerName(call.provider)],
    ["Began", when(call.started_at)],
    ["Length", length === null ? "Still going on" : duration(length)],
    ["Recording notice", call.notice_at_ms === null ? "Not spoken" : `Spoken by ${clock(call.notice_at_ms)}`],
  ];
  return h(
    "section",
    { class: "card", "aria-label": "Facts" },
    h("dl", { class: "facts" }, rows.filter(([, value]) => value != null).map(([name, value]) => [h("dt", {}, name), h("dd", { class: "figures" }, value)])),
  );
}

function turnItem(turn, slowest, seek) {
  const unsure = turn.who !== "assistant" && turn.confidence < 0.75;
  const time =
    seek === null
      ? h("span", { class: "turn-time figures" }, clock(turn.started_ms))
      : h(
          "button",
          { class: "turn-time figures", type: "button", "aria-label": `Play from ${clock(turn.started_ms)}`, onclick: () => seek(turn.started_ms) },
          clock(turn.started_ms),
        );
  return h(
    "li",
    { class: "turn", "data-who": turn.who },
    time,
    h(
      "div",
      { class: "turn-body" },
      h(
        "p",
        { class: "turn-who" },
        speaker(turn.who),
        unsure && h("span", { class: "tag" }, `${Math.round(turn.confidence * 100)} % sure`),
      ),
      h("p", { class: "turn-text" }, turn.text === "" ? h("em", { class: "soft" }, "Nothing was heard.") : turn.text),
      turn.planned !== null && turn.planned !== turn.text && h("details", { class: "small soft" }, h("summary", {}, "Cut short"), h("p", {}, `Would have said: ${turn.planned}`)),
      turn.timings !== null && timingBar(turn.timings, slowest),
      turn.entries.length > 0 && h("p", { class: "small soft" }, "Based on ", turn.entries.map((used, i) => [i > 0 && ", ", h("span", { title: `Score ${used.score.toFixed(2)}` }, used.entry)])),
    ),
  );
}

function timingBar(timings, slowest) {
  const parts = STAGES.map(([key, name], i) => {
    const part = h("span", { class: `part part-${i + 1}`, title: `${name}: ${timings[key]} ms` });
    part.style.setProperty("flex-grow", String(timings[key] / slowest));
    return part;
  });
  const total = STAGES.reduce((sum, [key]) => sum + timings[key], 0);
  const rest = h("span", {});
  rest.style.setProperty("flex-grow", String(Math.max(0, 1 - total / slowest)));
  const spoken = STAGES.map(([key, name]) => `${name} ${timings[key]} ms`).join(", ");
  return h(
    "div",
    { class: "timing" },
    h("div", { class: "timing-bar", "aria-hidden": "true" }, parts, rest),
    h("span", { class: "figures small" }, `${(timings.response_ms / 1_000).toFixed(2)} s`),
    h("span", { class: "out-of-sight" }, ` to the first word: ${spoken}.`),
  );
}

function timingLegend() {
  return h(
    "p",
    { class: "timing-legend small soft" },
    "Time to the first word: ",
    STAGES.map(([, name], i) => h("span", { class: "legend-item" }, h("span", { class: `swatch part-${i + 1}`, "aria-hidden": "true" }), name)),
  );
}

function triggerItem(trigger) {
  const signals = Object.entries(trigger.signals ?? {});
  return h(
    "li",
    {},
    h("p", {}, h("strong", {}, reasonTitle(trigger.reason)), h("span", { class: "soft figures" }, ` at ${clock(trigger.at_ms)}`)),
    signals.length > 0 && h("dl", { class: "facts small" }, signals.map(([name, value]) => [h("dt", {}, words(name)), h("dd", { class: "figures" }, signal(value))])),
  );
}

function signal(value) {
  if (value === null) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toFixed(Math.abs(value) < 10 ? 2 : 1);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function handoffItem(handoff, offers, nameOf) {
  const own = offers.filter((offer) => offer.handoff_id === handoff.id);
  const waited = Date.parse(handoff.bridged_at ?? handoff.ended_at) - Date.parse(handoff.requested_at);
  return h(
    "li",
    {},
    h("p", {}, h("span", { class: `tag ${outcomeKind(handoff.outcome)}` }, outcome(handoff.outcome)), " ", h("span", { class: "soft figures" }, Number.isFinite(waited) ? `after ${duration(waited)}` : "")),
    handoff.summary.map((line) => h("p", {}, line)),
    own.length > 0 &&
      h(
        "ol",
        { class: "offers small soft" },
        own.map((offer) => h("li", {}, `${when(offer.offered_at)}, ${nameOf(offer.agent_id)}: ${offer.result === null ? "pending" : offerResult(offer.result).toLowerCase()}`, offer.reason && ` (${offer.reason})`)),
      ),
  );
}

function noteItem(note, nameOf) {
  return h(
    "li",
    {},
    h("p", {}, h("strong", {}, words(note.disposition)), h("span", { class: "soft" }, ` · ${nameOf(note.agent_id)}, ${when(note.at)}`)),
    note.note !== "" && h("p", { class: "pre" }, note.note),
  );
}

function messageItem(message) {
  return h(
    "li",
    {},
    h("p", {}, h("strong", {}, message.kind === "voicemail" ? "Voice message" : "Callback wanted"), h("span", { class: "soft" }, message.done_at === null ? " · still open" : " · done")),
    h("p", {}, h("a", { href: "/messages" }, "Go to messages")),
  );
}

// The desk's middle: one view for each phase. A view is `{root, heading?, update(desk, now), line?, note?, draw?}`.

import { h, icon, meterLength, setIcon, setLevel, setText } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { keypad } from "../lib/keypad.js";
import { Transcript } from "../lib/transcript.js";
import { callEnd, providerName, reasonSentence, reasonTitle } from "../lib/words.js";

const heading = (text) => h("h1", { tabindex: -1 }, text);

/** Nobody on the line. */
export function idleView(_desk, actions) {
  const title = heading("");
  const text = h("p", { class: "soft idle-text" });
  const picture = h("span", { class: "idle-picture", "aria-hidden": "true" }, icon("phone"));
  const go = h("button", { class: "button primary", type: "button", onclick: () => actions.choose("available") }, "Go available");
  const root = h("div", { class: "stage-middle" }, picture, title, text, h("div", { class: "idle-action" }, go));
  const SAYS = {
    available: ["You are available", "The next caller appears here. You can leave this tab in the background.", "phone"],
    break: ["You are on a break", "No calls come until you are available again.", "cup"],
    offline: ["You are offline", "Go available to take calls. Your browser will ask for the microphone.", "person"],
  };
  return {
    root,
    heading: title,
    update(desk) {
      const [says, more, pictured] = SAYS[desk.state] ?? ["One moment", "The server is getting ready.", "person"];
      const up = desk.link === "up";
      setText(title, up ? says : "Connecting");
      setText(text, up ? more : "The desk is getting in touch with the server.");
      setIcon(picture.firstElementChild, pictured);
      root.dataset.state = up ? desk.state : "disconnected";
      go.hidden = !up || (desk.state !== "offline" && desk.state !== "break");
    },
  };
}

/** A caller to take or to decline. */
export function offerView(desk, actions) {
  const { offer } = desk;
  const title = heading(reasonTitle(offer.reason));
  const seconds = h("span", { class: "figures" });
  const ring = h("div", { class: "countdown", role: "timer", "aria-label": "Seconds left to answer" }, seconds);
  const waits = h("span", { class: "figures" });
  const transcript = conversation("Conversation so far", offer.lines);
  const accept = h(
    "button",
    { class: "button primary big", type: "button", id: "accept", ...keyed(actions, "A"), onclick: () => actions.accept(offer.offer_id) },
    icon("phone"),
    "Accept",
    hint(actions, "A"),
  );
  const decline = h(
    "button",
    { class: "button big", type: "button", id: "decline", ...keyed(actions, "D"), onclick: () => actions.reject(offer.offer_id) },
    icon("cross"),
    "Decline",
    hint(actions, "D"),
  );
  const problem = h("p", { class: "field-error", role: "alert" });
  const root = h(
    "div",
    { class: "offer" },
    h(
      "header",
      { class: "offer-head" },
      h(
        "div",
        {},
        h("p", { class: "eyebrow" }, "Incoming call · ", providerName(offer.provider)),
        title,
        h("p", { class: "soft" }, "Waiting for ", waits),
      ),
      ring,
    ),
    brief(offer),
    h("div", { class: "offer-actions" }, accept, decline),
    h("p", { class: "small soft" }, "Declining costs you nothing: the caller keeps their place and goes to the next person."),
    problem,
    transcript.root,
  );
  return {
    root,
    heading: title,
    line: (line) => put(transcript, line),
    problem: (text) => setText(problem, text),
    update(desk, now) {
      const left = Math.max(0, offer.expiresAt - now);
      setText(seconds, String(Math.ceil(left / 1_000)));
      ring.style.setProperty("--left", (left / offer.lastsMs).toFixed(4));
      ring.dataset.urgent = String(left < 5_000);
      setText(waits, clock(now - offer.waitingSince));
    },
    busy() {
      accept.disabled = true;
      decline.disabled = true;
    },
  };
}

/** Accepted; the assistant introduces the agent. */
export function joiningView() {
  const title = heading("Connecting you");
  const root = h(
    "div",
    { class: "stage-middle" },
    h("span", { class: "idle-picture busy", "aria-hidden": "true" }, icon("phone")),
    title,
    h("p", { class: "soft idle-text" }, "The assistant tells the caller that you are coming. In a moment you hear each other."),
    h("div", { class: "idle-action" }),
  );
  return { root, heading: title, update() {} };
}

/** Agent and caller talk. */
export function callView(desk, actions) {
  const { call } = desk;
  const title = heading("On a call");
  const timer = h("span", { class: "figures call-timer", "aria-hidden": "true" });
  const state = h("p", { class: "call-state", role: "status" });
  const mute = control(actions, "mic", "Mute", "M", { id: "mute", onclick: actions.mute });
  const hold = control(actions, "pause", "Hold", "H", { id: "hold", onclick: actions.hold });
  const pad = keypad(actions.dtmf);
  pad.enable(true);
  pad.root.hidden = true;
  const keys = control(actions, "keypad", "Keypad", "K", { id: "keys", onclick: () => toggleKeys() });
  keys.root.removeAttribute("aria-pressed");
  keys.root.setAttribute("aria-expanded", "false");
  const end = h(
    "button",
    { class: "button danger control", type: "button", id: "end", onclick: actions.end },
    icon("hang-up"),
    h("span", {}, "End"),
  );
  const mine = h("span", { class: "meter warm", "aria-hidden": "true" }, h("span"));
  const theirs = h("span", { class: "meter", "aria-hidden": "true" }, h("span"));
  const sound = h(
    "button",
    { class: "button primary", type: "button", hidden: true, onclick: actions.unblock },
    icon("speaker"),
    "Turn the sound on",
  );
  const transcript = conversation("Conversation", call.lines);
  const root = h(
    "div",
    { class: "talk" },
    h("header", { class: "talk-head" }, h("div", {}, title, state), timer),
    sound,
    h("div", { class: "controls", role: "group", "aria-label": "Call controls" }, mute.root, hold.root, keys.root, end),
    pad.root,
    h(
      "div",
      { class: "levels" },
      h("div", {}, h("span", { class: "small soft" }, "You"), mine),
      h("div", {}, h("span", { class: "small soft" }, "Caller"), theirs),
    ),
    call.brief !== null && brief(call.brief, reasonSentence(call.brief.reason)),
    transcript.root,
    h(
      "p",
      { class: "small soft legend" },
      "Underlined where recognition was ",
      h("span", { class: "unsure-fair" }, "a little"),
      " or ",
      h("span", { class: "unsure-poor" }, "very"),
      " unsure.",
    ),
  );
  function toggleKeys() {
    pad.root.hidden = !pad.root.hidden;
    keys.root.setAttribute("aria-expanded", String(!pad.root.hidden));
  }
  return {
    root,
    heading: title,
    line: (line) => put(transcript, line),
    note: (text) => transcript.note(text),
    toggleKeys,
    onKey: (event) => pad.onKey(event),
    blocked(on) {
      sound.hidden = !on;
    },
    update(desk, now) {
      const { call } = desk;
      if (call === null) return;
      setText(timer, clock(now - call.since));
      const muted = actions.muted();
      mute.set(muted, muted ? "Unmute" : "Mute", muted ? "mic-off" : "mic");
      hold.set(call.hold, call.hold ? "Take back" : "Hold", call.hold ? "play" : "pause");
      root.dataset.hold = String(call.hold);
      const up = desk.link === "up";
      for (const button of [hold.root, end]) button.disabled = !up;
      pad.enable(up && !call.hold);
      setText(state, callState(desk, muted, now));
    },
    draw({ mic, heard }, desk) {
      const silent = actions.muted() || desk.call?.hold || desk.link !== "up";
      setLevel(mine.firstElementChild, silent ? 0 : meterLength(mic));
      setLevel(theirs.firstElementChild, meterLength(heard));
    },
  };
}

function callState(desk, muted, now) {
  if (desk.link !== "up") return "Connection lost. The caller hears that you are coming back.";
  if (desk.call.hold) return `On hold for ${clock(now - desk.call.holdSince)}. You and the caller can’t hear each other.`;
  if (muted) return "You are muted. The caller can’t hear you.";
  return "You and the caller hear each other.";
}

/** After the call: what the next person should know. */
export function wrapUpView(desk, actions) {
  const { wrapUp } = desk;
  const title = heading("After the call");
  const left = h("span", { class: "figures" });
  const bar = h("span", { class: "meter warm wide", "aria-hidden": "true" }, h("span"));
  const note = h("textarea", { class: "input", id: "note", maxlength: 10_000, "aria-describedby": "note-hint" });
  const choices = actions.dispositions().map((value) => {
    const input = h("input", { type: "radio", name: "disposition", value, id: `disposition-${value}` });
    return h("label", { class: "option", for: input.id }, input, h("span", {}, value.replaceAll("_", " ")));
  });
  const error = h("p", { class: "field-error", role: "alert" });
  const save = h("button", { class: "button primary", type: "submit" }, icon("check"), "Save and finish");
  const form = h(
    "form",
    { class: "wrap-form", novalidate: true },
    h("fieldset", { class: "field" }, h("legend", {}, "How did it end?"), h("div", { class: "options" }, choices)),
    h(
      "div",
      { class: "field" },
      h("label", { for: "note" }, "Note"),
      note,
      h("p", { class: "small soft", id: "note-hint" }, "What the next person should know. It is saved by itself when the time is up."),
    ),
    error,
    save,
  );
  const transcript = conversation("Conversation", wrapUp.lines);
  const talked = wrapUp.talkedMs === null ? "" : ` You talked for ${clock(wrapUp.talkedMs)}.`;
  const root = h(
    "div",
    { class: "wrap" },
    h(
      "header",
      { class: "talk-head" },
      h("div", {}, title, h("p", { class: "soft figures" }, callEnd(wrapUp.reason), talked)),
      h("p", { class: "wrap-left" }, h("span", { class: "out-of-sight" }, "Time left "), left),
    ),
    bar,
    h("div", { class: "wrap-columns" }, form, h("div", { class: "wrap-talk" }, transcript.root)),
  );
  const chosen = () => form.querySelector("input:checked")?.value ?? "";
  let done = false;
  const finish = (disposition) => {
    if (done) return;
    done = true;
    save.disabled = true;
    const sent = actions.wrapUp(wrapUp.callId, note.value.trim(), disposition);
    setText(error, sent ? "" : "Not connected. It is saved as soon as the connection is back.");
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (chosen() === "") {
      setText(error, "Please choose how the call ended.");
      choices[0].firstElementChild.focus();
      return;
    }
    finish(chosen());
  });
  note.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("change", () => setText(error, ""));
  return {
    root,
    heading: title,
    line: (line) => put(transcript, line),
    update(_desk, now) {
      const remaining = Math.max(0, wrapUp.until - now);
      setText(left, clock(remaining));
      setLevel(bar.firstElementChild, remaining / wrapUp.lastsMs);
      // A little before the server closes it: whatever was typed is kept.
      if (remaining < 1_500 && !done && (note.value.trim() !== "" || chosen() !== "")) {
        const values = actions.dispositions();
        finish(chosen() || (values.includes("other") ? "other" : values.at(-1)));
      }
    },
  };
}

/** An offer ran out, or a call came about without sound. */
export function missedView({ state }, actions) {
  const silent = state === "error";
  const title = heading(silent ? "Nobody could hear you" : "You missed a call");
  const back = h("button", { class: "button primary big", type: "button", id: "back", onclick: actions.acknowledge }, icon("check"), "I’m back");
  const root = h(
    "div",
    { class: "stage-middle" },
    h("span", { class: "idle-picture warm", "aria-hidden": "true" }, icon("phone")),
    title,
    h("p", { class: "soft idle-text" }, silent
        ? "The call came about without sound from here, and the caller went to somebody else. Check your microphone, then say that you are back."
        : "The caller went to somebody else. You get no calls until you say that you are back."),
    h("div", { class: "idle-action" }, back),
  );
  return {
    root,
    heading: title,
    update(desk) {
      back.disabled = desk.link !== "up";
    },
  };
}

/** Wrap-up without a form: the server has not said yet which call it is about. */
export function closingView() {
  const title = heading("Finishing the last call");
  const root = h(
    "div",
    { class: "stage-middle" },
    h("span", { class: "idle-picture", "aria-hidden": "true" }, icon("check")),
    title,
    h("p", { class: "soft idle-text" }, "In a moment you are ready for the next one."),
    h("div", { class: "idle-action" }),
  );
  return { root, heading: title, update() {} };
}

function brief(offer, because) {
  if (offer.summary.length === 0 && because === undefined) return null;
  return h(
    "div",
    { class: "brief" },
    because !== undefined && h("p", { class: "small soft" }, because),
    offer.summary.map((line) => h("p", {}, line)),
  );
}

function conversation(label, lines) {
  const transcript = new Transcript({
    label,
    self: "agent",
    empty: "Nothing has been said yet.",
    names: { agent: "You", assistant: "Assistant" },
    announce: false,
  });
  for (const line of [...lines.values()].sort((a, b) => a.seq - b.seq)) put(transcript, line);
  return transcript;
}

function put(transcript, { seq, who, text, is_final, confidence, at_ms }) {
  transcript.put({ key: seq, who, text, final: is_final, confidence, at_ms });
}

/** The shortcut of a button: seen as a key, and known to a screen reader as what it is. */
function hint(actions, key) {
  return actions.shortcuts() && h("kbd", { "aria-hidden": "true" }, key);
}

function keyed(actions, key) {
  return actions.shortcuts() ? { "aria-keyshortcuts": key } : {};
}

function control(actions, picture, label, key, { id, onclick }) {
  const svg = icon(picture);
  const text = h("span", {}, label);
  const root = h(
    "button",
    { class: "button control", type: "button", id, "aria-pressed": "false", ...keyed(actions, key), onclick },
    svg,
    text,
    hint(actions, key),
  );
  return {
    root,
    set(pressed, name, shown) {
      root.setAttribute("aria-pressed", String(pressed));
      setText(text, name);
      setIcon(svg, shown);
    },
  };
}

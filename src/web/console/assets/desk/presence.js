// The desk's side: the agent's state, who waits, and the sound settings.

import { fill, h, icon, meterLength, setLevel, setText } from "../lib/dom.js";
import { clock, count } from "../lib/format.js";
import { stateName } from "../lib/words.js";

const CHOICES = [
  ["available", "Available"],
  ["break", "Break"],
  ["offline", "Offline"],
];

/** State, timer and the three choices. */
export function presenceCard(onChoose) {
  const name = h("strong", { class: "presence-name" });
  const timer = h("span", { class: "figures presence-timer", "aria-hidden": "true" });
  const follows = h("span", { class: "small soft presence-next", role: "status" });
  const buttons = CHOICES.map(([state, label]) =>
    h(
      "button",
      { type: "button", class: "choice", "aria-pressed": "false", dataset: { state }, onclick: () => onChoose(state) },
      label,
    ),
  );
  const root = h(
    "section",
    { class: "card presence", "aria-label": "Your state" },
    h("div", { class: "presence-now" }, h("span", { class: "dot", "aria-hidden": "true" }), name, follows, timer),
    h("div", { class: "choices", role: "group", "aria-label": "Choose your state" }, buttons),
  );
  return {
    root,
    update(desk, now) {
      const up = desk.link === "up";
      const shown = up ? desk.state : "disconnected";
      root.dataset.state = shown;
      setText(name, up ? stateName(desk.state) : "Not connected");
      setText(timer, up && desk.since > 0 ? clock(now - desk.since) : "");
      // On a call and after it a choice waits; while a call is offered it takes effect at once.
      const busy = desk.state === "on_contact" || desk.state === "wrap_up";
      const chosen = busy ? (desk.next ?? "") : desk.state === "reserved" ? "available" : desk.state;
      for (const button of buttons) {
        button.setAttribute("aria-pressed", String(up && button.dataset.state === chosen));
        button.disabled = !up;
      }
      const follow = up && busy && desk.next !== null ? `then ${stateName(desk.next).toLowerCase()}` : "";
      setText(follows, follow);
    },
  };
}

/** How many callers wait. */
export function queueCard() {
  const number = h("strong", { class: "queue-number figures" }, "0");
  const label = h("span", {}, "callers waiting");
  const longest = h("p", { class: "small soft figures" }, "Nobody waits.");
  const root = h(
    "section",
    { class: "card queue", "aria-label": "Queue" },
    h("p", { class: "queue-line" }, number, label),
    longest,
  );
  return {
    root,
    update(desk, now) {
      const { waiting, longestSince } = desk.queue;
      const up = desk.link === "up";
      root.dataset.waiting = waiting;
      setText(number, up ? String(waiting) : "–");
      setText(label, waiting === 1 ? "caller waiting" : "callers waiting");
      const text = waiting === 0 ? "Nobody waits." : `The first for ${clock(now - longestSince)}.`;
      setText(longest, up ? text : "Unknown while disconnected.");
    },
  };
}

const STORED = "warmline-sound";

/** Choices about sound that this browser remembers. */
export function soundSettings() {
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem(STORED) ?? "{}") ?? {};
  } catch {
    stored = {};
  }
  const settings = { microphone: "", speaker: "", ring: true, shortcuts: true, ...stored };
  return {
    ...settings,
    save() {
      try {
        const { microphone, speaker, ring, shortcuts } = this;
        localStorage.setItem(STORED, JSON.stringify({ microphone, speaker, ring, shortcuts }));
      } catch {
        // A browser without storage forgets; nothing else changes.
      }
    },
  };
}

/** Microphone, loudspeaker, ring and shortcut settings, with a test of the microphone. */
export function soundCard(settings, voice, { onTest, onRing, onProblem }) {
  const microphone = h("select", { class: "input", id: "microphone" });
  const speakers = h("select", { class: "input", id: "speaker" });
  const speakerRow = h("div", { class: "field" }, h("label", { for: "speaker" }, "Loudspeaker"), speakers);
  const meter = h("span", { class: "meter", "aria-hidden": "true" }, h("span"));
  const test = h("button", { class: "button", type: "button", "aria-pressed": "false" }, icon("mic"), h("span", {}, "Test"));
  const hint = h("p", { class: "small soft" }, "Speak: the bar should move.");
  const box = (key, label, after) => {
    const input = h("input", { type: "checkbox", id: `set-${key}` });
    input.checked = settings[key];
    input.addEventListener("change", () => {
      settings[key] = input.checked;
      settings.save();
      after?.();
    });
    return h("label", { class: "check", for: `set-${key}` }, input, label);
  };
  const ring = h("button", { class: "button", type: "button", onclick: onRing }, icon("speaker"), "Hear the ring");
  const root = h(
    "details",
    { class: "card sound" },
    h("summary", {}, "Sound and keys"),
    h(
      "div",
      { class: "sound-body" },
      h("div", { class: "field" }, h("label", { for: "microphone" }, "Microphone"), microphone),
      h("div", { class: "sound-test" }, test, meter),
      hint,
      speakerRow,
      ring,
      box("ring", "Ring when a call comes in"),
      box("shortcuts", "Single-key shortcuts"),
    ),
  );
  async function list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    choices(microphone, devices.filter((device) => device.kind === "audioinput"), settings.microphone, "Standard");
    const outputs = devices.filter((device) => device.kind === "audiooutput");
    choices(speakers, outputs, settings.speaker, "Standard");
    speakerRow.hidden = outputs.length === 0 || !("setSinkId" in AudioContext.prototype);
  }
  microphone.addEventListener("change", () => {
    settings.microphone = microphone.value;
    settings.save();
    voice.changeMicrophone(settings.microphone).catch((error) => onProblem(error.message));
  });
  speakers.addEventListener("change", () => {
    settings.speaker = speakers.value;
    settings.save();
    voice.setOutput(settings.speaker);
  });
  test.addEventListener("click", async () => {
    await onTest(test.getAttribute("aria-pressed") !== "true");
    list();
  });
  navigator.mediaDevices?.addEventListener?.("devicechange", list);
  list();
  return {
    root,
    list,
    testing(on) {
      test.setAttribute("aria-pressed", String(on));
      setText(test.lastElementChild, on ? "Stop" : "Test");
    },
    draw() {
      if (root.open) setLevel(meter.firstElementChild, meterLength(voice.stats.mic));
    },
  };
}

function choices(select, devices, chosen, standard) {
  const named = devices.filter((device) => device.deviceId !== "" && device.deviceId !== "default");
  fill(
    select,
    h("option", { value: "" }, standard),
    named.map((device, i) => h("option", { value: device.deviceId }, device.label || `Device ${i + 1}`)),
  );
  select.value = named.some((device) => device.deviceId === chosen) ? chosen : "";
}

/** What a notice says about callers, for the tab's title. */
export function waitingTitle(desk, title) {
  return desk.queue.waiting > 0 ? `(${count(desk.queue.waiting, "caller")}) ${title}` : title;
}

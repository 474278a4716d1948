// The caller's page.
//
//   idle ──call──▶ preparing (microphone) ──▶ connecting (pass, socket) ──started──▶ live ──▶ ended ──call──▶ …
//
// Any failure leads to `ended` with a sentence that says what to do.

import { MicrophoneError, Voice } from "../audio/voice.js";
import { ApiError, api } from "../lib/api.js";
import { isTyping, meterLength, setIcon, setLevel, setText } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { keypad } from "../lib/keypad.js";
import { onTick } from "../lib/ticker.js";
import { Transcript } from "../lib/transcript.js";
import { Line } from "./line.js";

const $ = (id) => document.getElementById(id);
const main = $("main");

const captions = new Transcript({
  label: "What is said",
  self: "caller",
  empty: "What is said appears here.",
  names: { caller: "You", assistant: "Assistant (automated)", agent: "Person" },
});
const keys = keypad(pressDigit, { zero: "PERSON" });
$("captions").append(captions.root);
$("keypad").append(keys.root);

/** The running call, or null. */
let current = null;
let wakeLock = null;

function setPhase(phase) {
  main.dataset.phase = phase;
  const live = phase === "live";
  keys.enable(live);
  for (const id of ["person", "mute"]) $(id).disabled = !live;
  // After a call that never began there is nothing to read, so what to do stays in view.
  const idle = phase === "idle" || (phase === "ended" && captions.isEmpty);
  $("how").hidden = !idle;
  $("captions").hidden = idle;
  setText($("beside-title"), idle ? "How it works" : "What is said");
}

function say(text) {
  setText($("status"), text);
}

function complain(text) {
  $("problem").hidden = text === "";
  setText($("problem-text"), text);
}

async function call() {
  if (current !== null) return;
  const visit = {
    voice: null,
    line: null,
    startedAt: 0,
    endedAt: 0,
    asked: false,
    muted: false,
    keys: new Map(),
    marksPlayed: 0,
  };
  current = visit;
  const alive = () => current === visit;
  complain("");
  captions.clear();
  setPhase("preparing");
  say("Please allow the microphone.");
  setMuted(visit, false);
  $("hang-up").focus();
  const voice = new Voice({
    onFrame: (pcm) => visit.line?.sendFrame(pcm),
    onMarks: (ids) => {
      visit.marksPlayed += ids.length;
      for (const id of ids) visit.line?.send({ type: "mark", id });
    },
    onMicLost: () => micLost(visit),
  });
  visit.voice = voice;
  try {
    await voice.openMicrophone();
    if (!alive()) return;
    setPhase("connecting");
    say("Calling …");
    const pass = await api("POST", "/api/v1/browser-call");
    if (!alive()) return;
    visit.line = new Line(pass, {
      onStarted: () => started(visit),
      onAudio: (pcm) => voice.play(pcm),
      onMark: (id) => voice.mark(id),
      onClear: () => voice.clear(),
      onCaption: (caption) => showCaption(visit, caption),
      onEnded: (how) => ended(visit, how),
    });
  } catch (error) {
    if (!alive()) return;
    const known = error instanceof MicrophoneError || error instanceof ApiError;
    if (!known) console.error(error);
    finish(visit, "The call could not be started.", known ? error.message : "Please reload the page and try again.");
  }
}

function started(visit) {
  visit.startedAt = Date.now();
  setPhase("live");
  say("Connected. The assistant is on the line.");
  keepAwake();
}

function showCaption(visit, { who, text, final }) {
  // An empty line says nothing but whose turn it is: so a person can be announced before their first words are recognised.
  if (typeof text === "string" && text !== "") {
    const n = visit.keys.get(who) ?? 0;
    captions.put({ key: `${who}-${n}`, who, text, final });
    if (final) visit.keys.set(who, n + 1);
  }
  if (who === "agent" && main.dataset.speaking !== "agent") {
    main.dataset.speaking = "agent";
    visit.voice.setLive(true);
    say("You are speaking with a person.");
    $("person").disabled = true;
  } else if (who === "assistant" && main.dataset.speaking === "agent") {
    delete main.dataset.speaking;
    visit.voice.setLive(false);
    say("The assistant is on the line.");
    $("person").disabled = false;
  }
}

function pressDigit(digit) {
  if (current?.line === null || current === null) return;
  current.line.send({ type: "dtmf", digit });
  captions.note(digit === "0" ? "You pressed 0 for a person." : `You pressed ${digit}.`);
  if (digit === "0" && main.dataset.speaking !== "agent") {
    current.asked = true;
    say("You asked for a person. Please stay on the line.");
  }
}

const ENDINGS = {
  refused: ["The call could not be started.", "The server did not take the call. Please try again in a moment."],
  lost: ["The call was cut off.", "The connection to the server was lost. Check your network and call again."],
};
const BUSY = "All lines are busy at the moment. Please try again in a few minutes.";

function ended(visit, { kind, reason, code }) {
  if (kind === "local") return;
  if (reason === "busy" || code === 1013) return finish(visit, "The line is busy.", BUSY);
  if (reason === "unauthorized") return finish(visit, "The call could not be started.", "It took too long. Please try again.");
  const [status, problem] = ENDINGS[kind] ?? ["The call has ended.", ""];
  finish(visit, status, problem, kind === "ended");
}

function micLost(visit) {
  if (current !== visit) return;
  complain("Your microphone was disconnected. Connect it again; you can still hear the call.");
  visit.voice.openMicrophone().then(
    () => complain(""),
    (error) => complain(`${error.message} You can still hear the call.`),
  );
}

function hangUp() {
  if (current === null) return;
  const visit = current;
  visit.line?.stop();
  finish(visit, visit.startedAt === 0 ? "Cancelled." : "You hung up.", "");
}

/** `hearOut`: words still on their way to the ear are not cut off. */
function finish(visit, status, problem, hearOut = false) {
  if (current !== visit) return;
  current = null;
  visit.line?.stop();
  if (hearOut) visit.voice.finish();
  else visit.voice.close();
  wakeLock?.release().catch(() => {});
  wakeLock = null;
  delete main.dataset.speaking;
  const talked = visit.startedAt === 0 ? 0 : Date.now() - visit.startedAt;
  setText($("clock"), visit.startedAt === 0 ? "" : clock(talked));
  const focusLost = main.contains(document.activeElement);
  setPhase("ended");
  say(status);
  complain(problem);
  setText($("call-label"), "Call again");
  setLevel($("orb"), 0);
  if (focusLost) $("call").focus();
}

function setMuted(visit, on) {
  visit.muted = on;
  visit.voice?.setMuted(on);
  $("mute").setAttribute("aria-pressed", String(on));
  setText($("mute").querySelector("span"), on ? "Unmute" : "Mute");
  setIcon($("mute").querySelector("svg"), on ? "mic-off" : "mic");
  setText($("mic-label"), on ? "You are muted" : "Your microphone");
}

/** A phone's screen going dark would end the microphone on some systems. */
async function keepAwake() {
  try {
    wakeLock = (await navigator.wakeLock?.request("screen")) ?? null;
    if (current === null) await wakeLock?.release();
  } catch {
    wakeLock = null;
  }
}

$("call").addEventListener("click", call);
$("hang-up").addEventListener("click", hangUp);
$("person").addEventListener("click", () => pressDigit("0"));
$("mute").addEventListener("click", () => current && setMuted(current, !current.muted));
$("keys").addEventListener("click", () => {
  const open = main.dataset.keys !== "open";
  main.dataset.keys = open ? "open" : "closed";
  $("keys").setAttribute("aria-expanded", String(open));
});
document.addEventListener("keydown", (event) => {
  if (current !== null && !isTyping(event)) keys.onKey(event);
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || current === null) return;
  current.voice.resume();
  if (current.startedAt !== 0) keepAwake();
});
window.addEventListener("pagehide", () => current?.line?.stop());

/** Meters follow the sound while the page is seen; the numbers are also there for tests. */
function draw() {
  requestAnimationFrame(draw);
  if (current === null) return;
  const { mic, heard } = current.voice.stats;
  setLevel($("orb"), meterLength(heard));
  setLevel($("mic-meter").firstElementChild, current.muted ? 0 : meterLength(mic));
}

onTick(() => {
  if (current === null) return;
  const { mic, heard, underruns, waiting_ms } = current.voice.stats;
  Object.assign(main.dataset, {
    micLevel: mic.toFixed(4),
    heardLevel: heard.toFixed(4),
    underruns,
    waitingMs: waiting_ms,
    marksPlayed: current.marksPlayed,
    framesSent: current.line?.frames.sent ?? 0,
    framesReceived: current.line?.frames.received ?? 0,
  });
  if (current.startedAt !== 0) setText($("clock"), clock(Date.now() - current.startedAt));
});

/** Who is called, and whether anybody can be: asked without holding up the page. */
async function introduce() {
  const status = await api("GET", "/api/v1/status").catch(() => null);
  if (status === null) return;
  if (status.name) {
    setText($("company"), status.name);
    document.title = `Call ${status.name}`;
  }
  if (current !== null || main.dataset.phase !== "idle") return;
  if (status.browser_calls === false) {
    $("call").disabled = true;
    complain("Calls from this page are switched off. Please call by phone.");
  }
}

setPhase("idle");
$("call").disabled = false;
introduce();
requestAnimationFrame(draw);

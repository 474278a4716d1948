// The agent's desk: signs in, keeps the connection, joins the model with its views, sound and keys.

import { MicrophoneError, Voice } from "../audio/voice.js";
import { api } from "../lib/api.js";
import { fill, h, icon, isTyping, setText } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { requireSession } from "../lib/session.js";
import { onTick } from "../lib/ticker.js";
import { reasonTitle } from "../lib/words.js";
import { Desk } from "./model.js";
import { presenceCard, queueCard, soundCard, soundSettings, waitingTitle } from "./presence.js";
import { Ring } from "./ring.js";
import { DeskSocket } from "./socket.js";
import { callView, closingView, idleView, joiningView, missedView, offerView, wrapUpView } from "./stage.js";

const VIEWS = {
  idle: idleView,
  offer: offerView,
  joining: joiningView,
  call: callView,
  wrap_up: wrapUpView,
  closing: closingView,
  missed: missedView,
};
const RESUME_MS = 15_000;
const main = document.getElementById("main");
const baseTitle = document.title;

const desk = new Desk();
const settings = soundSettings();
const voice = new Voice({
  onFrame: (pcm) => desk.call !== null && socket.sendFrame(pcm),
  onMicLost: reopenMicrophone,
  onBlocked: (blocked) => view?.blocked?.(blocked),
});
voice.outputId = settings.speaker;
voice.setLive(true);
const ring = new Ring(voice);
const socket = new DeskSocket({
  onMessage: receive,
  onAudio: (pcm) => desk.call !== null && !desk.call.hold && voice.play(pcm),
  onUp: wentUp,
  onDown: wentDown,
});

let view = null;
let shown = null;
let muted = false;
let testing = false;
/** What the agent last chose here; restored when the connection comes back. */
let wish = null;
let restoreWish = false;
/** A note written while the connection was down; the server takes it later too. */
let unsent = null;

const actions = {
  choose,
  accept(offerId) {
    if (socket.send({ type: "accept", offer_id: offerId })) view.busy?.();
  },
  reject(offerId) {
    if (socket.send({ type: "reject", offer_id: offerId, reason: null })) view.busy?.();
  },
  mute: () => setMuted(!muted),
  muted: () => muted,
  hold: () => desk.call !== null && socket.send({ type: "hold", on: !desk.call.hold }),
  dtmf(digit) {
    if (socket.send({ type: "dtmf", digit })) view.note?.(`You pressed ${digit}.`);
  },
  end: () => socket.send({ type: "end" }),
  wrapUp(callId, note, disposition) {
    unsent = { type: "wrap_up", call_id: callId, note, disposition };
    return flush();
  },
  acknowledge: () => socket.send({ type: "acknowledge_missed" }),
  unblock: () => voice.resume(),
  dispositions: () => desk.dispositions,
  shortcuts: () => settings.shortcuts,
};

const presence = presenceCard(choose);
const queue = queueCard();
const sound = soundCard(settings, voice, {
  onTest: testMicrophone,
  onRing: async () => {
    await voice.open().catch(() => {});
    ring.start(1, "Warmline", "");
    setTimeout(() => desk.offer === null && ring.stop(), 1_500);
  },
  onProblem: (text) => tell(text, "bad"),
});
const stage = h("section", { class: "card stage", "aria-label": "Current call" });
const link = h("div", { class: "notice bad link", role: "alert", hidden: true }, icon("warning"), h("p"));
const notices = h("div", { class: "notices", role: "status" });
const alerts = h("p", { class: "out-of-sight", role: "alert" });

start();

async function start() {
  await requireSession(main, {
    mayLeave() {
      if (desk.call === null) return true;
      tell("End the call first, then sign out.", "bad");
      return false;
    },
  });
  fill(
    main,
    h("div", { class: "desk" }, h("div", { class: "side" }, presence.root, queue.root, sound.root), stage),
    h("div", { class: "overlay" }, link, notices),
    alerts,
  );
  show();
  socket.start();
  onTick(tick);
  requestAnimationFrame(draw);
}

// Connection

function wentUp() {
  link.hidden = true;
  restoreWish = wish !== null;
  flush();
}

function flush() {
  if (unsent !== null && socket.send(unsent)) unsent = null;
  return unsent === null;
}

async function wentDown({ wasReady }) {
  const now = Date.now();
  run(desk.lost(now));
  ring.stop();
  voice.clear();
  if (desk.call === null) releaseMicrophone();
  if (socket.stopped) {
    desk.link = "replaced";
    desk.call = null;
  }
  show();
  showLink(now);
  if (!wasReady && !socket.stopped) await checkSession();
}

/** A socket that never says hello may mean that nobody is signed in any more. */
async function checkSession() {
  try {
    await api("GET", "/api/v1/session");
  } catch (error) {
    if (error.status === 401) location.reload();
  }
}

function showLink(now) {
  const text = link.lastElementChild;
  link.hidden = desk.link === "up" || (desk.link === "connecting" && socket.tries < 2);
  if (link.hidden) return;
  if (desk.link === "replaced") {
    setText(text, "Your desk was opened in another window. Reload this page to use it here.");
  } else if (desk.link === "outdated") {
    setText(text, "The server was updated. Please reload this page.");
  } else if (desk.call !== null) {
    const left = Math.max(0, RESUME_MS - (now - desk.downSince));
    const rest = left > 0 ? `You have ${Math.ceil(left / 1_000)} s to come back.` : "The caller may have gone to somebody else.";
    setText(text, `Connection lost. Reconnecting; the caller hears that you are coming back. ${rest}`);
  } else {
    setText(text, "Connection lost. Reconnecting; no calls come meanwhile. Check your network if this stays.");
  }
}

// Messages

function receive(message) {
  const now = Date.now();
  run(desk.receive(message, now));
  if (message.type === "state" && restoreWish) {
    restoreWish = false;
    if (desk.state === "offline" && wish !== "offline") socket.send({ type: "set_state", state: wish });
  }
  if (message.type === "offer_ended" && message.result === "accepted") warmUp();
  show();
}

function run(effects) {
  for (const effect of effects) perform(effect);
}

function perform(effect) {
  switch (effect.do) {
    case "ring":
      ringFor(effect.offer);
      break;
    case "quiet":
      ring.stop();
      setText(alerts, "");
      break;
    case "talk":
      beginTalk(effect.resumed);
      break;
    case "silence":
      voice.clear();
      releaseMicrophone();
      break;
    case "hold":
      voice.clear();
      applyMute();
      later(() => view.note?.(effect.on ? "The caller is on hold." : "The caller is back."));
      break;
    case "line":
      view?.line?.(effect.line);
      break;
    case "note":
      later(() => view.note?.(effect.text));
      break;
    case "tell":
      tell(effect.text, effect.kind);
      break;
    case "ended":
      setMuted(false);
      break;
  }
}

/** After the view of this moment is up. */
function later(action) {
  queueMicrotask(action);
}

function ringFor(offer) {
  const title = reasonTitle(offer.reason);
  notices.replaceChildren();
  setText(alerts, `Incoming call. ${title}. ${offer.summary.join(" ")}`);
  ring.start(settings.ring ? offer.lastsMs / 1_000 : 0, `Incoming call: ${title}`, offer.summary.join("\n"));
  warmUp();
}

// Sound

/** Opens the microphone while the call is still being offered, so that accepting it takes no time. */
async function warmUp() {
  try {
    await voice.openMicrophone(settings.microphone);
    applyMute();
  } catch (error) {
    if (desk.offer !== null || desk.joining !== null) later(() => view.problem?.(sentence(error)));
  }
}

async function beginTalk(resumed) {
  applyMute();
  if (resumed) {
    later(() => {
      for (const line of desk.call?.lines.values() ?? []) view.line?.(line);
      view.note?.("You are connected again.");
    });
  }
  try {
    await voice.openMicrophone(settings.microphone);
    applyMute();
    await voice.resume();
  } catch (error) {
    tell(`The caller can’t hear you. ${sentence(error)}`, "bad");
  }
}

function releaseMicrophone() {
  if (!testing) voice.closeMicrophone();
}

async function reopenMicrophone() {
  if (desk.call === null) return;
  tell("Your microphone was disconnected. Trying another one.", "bad");
  try {
    await voice.openMicrophone("");
    tell("The caller hears you again.", "good");
  } catch (error) {
    tell(`The caller can’t hear you. ${sentence(error)}`, "bad");
  }
}

async function testMicrophone(on) {
  testing = on;
  sound.testing(on);
  if (!on) {
    if (desk.phase !== "call") voice.closeMicrophone();
    return;
  }
  try {
    await voice.openMicrophone(settings.microphone);
  } catch (error) {
    testing = false;
    sound.testing(false);
    tell(sentence(error), "bad");
  }
}

function setMuted(on) {
  muted = on;
  applyMute();
  show();
}

/** On hold and while disconnected nothing of the agent's room leaves this page. */
function applyMute() {
  voice.setMuted(muted || desk.call?.hold === true);
}

function sentence(error) {
  if (error instanceof MicrophoneError) return error.message;
  console.error(error);
  return "The sound could not be started. Please reload the page.";
}

// State

async function choose(state) {
  if (state === "available") {
    // Asked before the first call comes, not while a caller waits; the microphone is let go again until then.
    try {
      await voice.openMicrophone(settings.microphone);
    } catch (error) {
      tell(`${sentence(error)} You can be available once it works.`, "bad");
      return;
    }
    if (!["offer", "joining", "call"].includes(desk.phase)) releaseMicrophone();
    sound.list();
    if (window.Notification?.permission === "default") Notification.requestPermission().catch(() => {});
  }
  wish = state;
  socket.send({ type: "set_state", state });
}

// Page

function show() {
  const now = Date.now();
  const key = `${desk.phase}:${desk.offer?.offer_id ?? desk.call?.id ?? desk.wrapUp?.callId ?? ""}`;
  if (key !== shown) {
    const hadFocus = shown !== null && (stage.contains(document.activeElement) || document.activeElement === document.body);
    shown = key;
    main.dataset.phase = desk.phase;
    view = VIEWS[desk.phase](desk, actions);
    fill(stage, view.root);
    if (desk.phase === "call") view.blocked?.(voice.context !== null && !voice.audible);
    view.update(desk, now);
    if (hadFocus) view.heading?.focus({ preventScroll: true });
    if (window.scrollY > 0 && desk.phase !== "idle") stage.scrollIntoView({ block: "start" });
  }
  update(now);
}

function update(now) {
  presence.update(desk, now);
  queue.update(desk, now);
  view.update(desk, now);
}

function tick() {
  const now = Date.now();
  update(now);
  showLink(now);
  if (desk.offer === null) document.title = desk.call === null ? waitingTitle(desk, baseTitle) : `${clock(now - desk.call.since)} · ${baseTitle}`;
  const { mic, heard, underruns, waiting_ms } = voice.stats;
  Object.assign(main.dataset, {
    state: desk.state,
    link: desk.link,
    hold: String(desk.call?.hold ?? false),
    muted: String(muted),
    micLevel: mic.toFixed(4),
    heardLevel: heard.toFixed(4),
    underruns,
    waitingMs: waiting_ms,
    framesSent: socket.frames.sent,
    framesReceived: socket.frames.received,
  });
}

function draw() {
  requestAnimationFrame(draw);
  view?.draw?.(voice.stats, desk);
  sound.draw();
}

function tell(text, kind = "warm") {
  const close = h("button", { class: "button quiet small", type: "button", "aria-label": "Dismiss" }, icon("cross"));
  const notice = h("div", { class: `notice ${kind}` }, icon("warning"), h("p", {}, text), close);
  const away = () => notice.remove();
  close.addEventListener("click", away);
  setTimeout(away, 12_000);
  notices.append(notice);
  while (notices.childElementCount > 3) notices.firstElementChild.remove();
}

document.addEventListener("keydown", (event) => {
  if (!settings.shortcuts || event.repeat || isTyping(event)) return;
  const key = event.key.toLowerCase();
  if (desk.phase === "offer") {
    if (key === "a") actions.accept(desk.offer.offer_id);
    if (key === "d") actions.reject(desk.offer.offer_id);
  } else if (desk.phase === "call") {
    if (view.onKey(event)) return;
    if (key === "m") actions.mute();
    if (key === "h") actions.hold();
    if (key === "k") view.toggleKeys();
  }
});
window.addEventListener("beforeunload", (event) => {
  if (desk.call !== null) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") voice.resume();
});

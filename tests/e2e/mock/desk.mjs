// The scripted front desk: one call at a time is enough.

import { randomUUID } from "node:crypto";

import { frames, rms, voice } from "../voice.mjs";
import { BUSY, SUPERVISED, liveCalls } from "./live.mjs";

const ASSISTANT = frames(voice(2_600, 190));
const HOLD = frames(voice(1_200, 240, 16_000, 0.2));
const RESUME_MS = Number(process.env.MOCK_RESUME_MS ?? 15_000);
const DISPOSITIONS = ["resolved", "follow_up", "wrong_number", "spam", "other"];

/** A caller in a browser. */
export class MockCall {
  static all = new Set();

  static dropAll() {
    for (const call of MockCall.all) call.ws.terminate();
  }

  constructor(ws, tokens, desk) {
    this.ws = ws;
    this.tokens = tokens;
    this.desk = desk;
    this.id = randomUUID();
    this.started = false;
    this.queue = [];
    this.marks = 0;
    this.lines = [];
    this.seq = 0;
    this.beganAt = Date.now();
    this.bridge = null;
    this.heard = 0;
    this.spoke = 0;
    ws.on("message", (data, binary) => (binary ? this.audio(data) : this.text(JSON.parse(data))));
    ws.on("close", () => this.gone());
  }

  send(message) {
    if (this.ws.readyState === 1) this.ws.send(JSON.stringify(message));
  }

  text(message) {
    if (message.type === "start") {
      if (!this.tokens.delete(message.token)) {
        this.send({ type: "ended", reason: "unauthorized" });
        return this.ws.close(1008);
      }
      this.started = true;
      MockCall.all.add(this);
      this.send({ type: "started", rate: 16_000 });
      // A timer alone drifts: each tick sends what is due by the clock.
      const began = performance.now();
      let paced = 0;
      this.pacer = setInterval(() => {
        for (; paced < (performance.now() - began) / 20; paced++) this.pace();
      }, 10);
      this.say("Hello, this is the automated assistant of Larkfield. Press zero at any time to reach a person. How can I help you?");
    } else if (message.type === "mark") {
      this.marksPlayed = (this.marksPlayed ?? 0) + 1;
    } else if (message.type === "dtmf" && message.digit === "0" && !this.asked) {
      this.asked = true;
      this.queue = [];
      this.send({ type: "clear" });
      this.say("Of course. I am getting a person for you, please stay on the line.");
      this.desk.request(this, "caller_pressed_zero");
    } else if (message.type === "dtmf" && this.bridge !== null) {
      this.bridge.send({ type: "dtmf", call_id: this.id, digit: message.digit });
    } else if (message.type === "stop") {
      this.send({ type: "ended", reason: "stop" });
      this.ws.close(1000);
    }
  }

  /** The caller's voice: to the agent once bridged, else a scripted question and its answer. */
  audio(data) {
    if (this.bridge !== null) {
      this.bridge.audioFromCaller(data);
      if (rms(data) > 0.01 && (this.spoke += 1) % 150 === 75) {
        this.line("caller", SAID[Math.floor(this.spoke / 150) % SAID.length][0], SAID[Math.floor(this.spoke / 150) % SAID.length][1]);
      }
      return;
    }
    if (this.asked || this.queue.length > 0) return;
    if (rms(data) > 0.01) this.heard += 1;
    if (this.heard === 20) this.caption("caller", "When are you", false);
    if (this.heard === 60) {
      this.caption("caller", "When are you open on Saturday?", true, 0.93);
      this.say("On Saturdays we are open from nine to one. Is there anything else?");
    }
  }

  caption(who, text, final, confidence = 1) {
    this.send({ type: "caption", who, text, final });
    if (final) this.line(who, text, confidence, false);
  }

  line(who, text, confidence, caption = true) {
    const line = { seq: this.seq++, who, text, at_ms: Date.now() - this.beganAt, confidence, is_final: true };
    this.lines.push(line);
    if (caption) this.send({ type: "caption", who, text, final: true });
    this.desk.line(this, line);
  }

  say(text) {
    const half = text.slice(0, text.indexOf(" ", text.length / 2));
    this.caption("assistant", half, false);
    setTimeout(() => this.caption("assistant", text, true), 900);
    this.queue.push(...ASSISTANT, { mark: ++this.marks });
  }

  pace() {
    if (this.held) {
      this.ws.send(HOLD[(this.holdAt = ((this.holdAt ?? 0) + 1) % HOLD.length)]);
      return;
    }
    const next = this.queue.shift();
    if (next === undefined) return;
    if (next.mark !== undefined) {
      this.send({ type: "mark", id: next.mark });
      return this.pace();
    }
    if (this.ws.readyState === 1) this.ws.send(next);
  }

  audioFromAgent(data) {
    if (!this.held && this.ws.readyState === 1) this.ws.send(data);
  }

  end(reason) {
    this.send({ type: "ended", reason });
    this.ws.close(1000);
  }

  gone() {
    clearInterval(this.pacer);
    MockCall.all.delete(this);
    this.desk.callerGone(this);
  }
}

const SAID = [
  ["Hi, my parcel was due on Tuesday and it still has not come.", 0.94],
  ["The number is four four seven, eh, nine one two.", 0.61],
  ["It goes to Brampton Lane or Crampton Lane.", 0.38],
  ["Thank you, that helps.", 0.97],
];

/** The agents and the callers who wait. */
export class MockDesk {
  constructor({ offerMs, wrapUpMs }) {
    this.offerMs = offerMs;
    this.wrapUpMs = wrapUpMs;
    this.agents = new Map();
    this.waiting = [];
    this.ended = new Set();
  }

  connect(ws, user) {
    const known = this.agents.get(user.id);
    if (known?.ws?.readyState === 1) known.ws.close(4000, "another tab took over");
    const agent = known ?? new MockAgent(this, user);
    this.agents.set(user.id, agent);
    agent.attach(ws);
    this.tellQueue();
    this.route();
  }

  request(call, reason) {
    this.waiting.push({ call, reason, at: Date.now(), handoff: randomUUID(), id: call?.id ?? randomUUID(), tried: new Set() });
    this.tellQueue();
    this.route();
  }

  route() {
    for (const task of this.waiting.filter((each) => each.offeredTo === undefined)) {
      const agent = [...this.agents.values()].find((each) => each.state === "available" && each.ws !== null && !task.tried.has(each));
      if (agent !== undefined) agent.offer(task);
    }
  }

  tellQueue() {
    const longest = Math.max(0, ...this.waiting.map((task) => Date.now() - task.at));
    for (const agent of this.agents.values()) agent.send({ type: "queue", waiting: this.waiting.length, longest_ms: longest });
  }

  remove(task) {
    this.waiting = this.waiting.filter((each) => each !== task);
    this.tellQueue();
  }

  line(call, line) {
    for (const agent of this.agents.values()) {
      if (agent.task?.call === call) agent.send({ type: "transcript", call_id: call.id, line });
    }
  }

  callerGone(call) {
    const task = this.waiting.find((each) => each.call === call);
    if (task !== undefined) {
      task.offeredTo?.offerEnded("canceled", "available");
      this.remove(task);
    }
    for (const agent of this.agents.values()) if (agent.task?.call === call) agent.callEnded("caller_hung_up");
  }

  callerHangsUp() {
    for (const task of [...this.waiting]) {
      task.offeredTo?.offerEnded("canceled", "available");
      this.remove(task);
    }
    for (const agent of this.agents.values()) if (agent.task !== null) agent.callEnded("caller_hung_up");
  }

  /** What a supervisor sees: made-up calls and agents, and the agents who are connected. */
  live() {
    const calls = liveCalls(this.ended);
    const here = [...this.agents.values()].map((agent) => ({ agent_id: agent.user.id, name: agent.user.name, state: agent.state, for_ms: Date.now() - agent.since }));
    const waits = calls.filter(({ stage }) => stage === "waiting").map(({ waiting_ms }) => waiting_ms);
    return { calls, agents: [...here, ...BUSY], waiting: waits.length, longest_ms: Math.max(0, ...waits), queues: ["billing", "orders", "returns"] };
  }

  dropAgents() {
    for (const agent of this.agents.values()) agent.ws?.terminate();
  }
}

class MockAgent {
  constructor(desk, user) {
    Object.assign(this, { desk, user, ws: null, state: "offline", since: Date.now(), next: null, task: null, pending: null });
  }

  attach(ws) {
    this.ws = ws;
    clearTimeout(this.lostTimer);
    ws.on("message", (data, binary) => {
      if (this.ws !== ws) return;
      if (binary) this.task?.connected && this.task.call?.audioFromAgent(data);
      else this.text(JSON.parse(data));
    });
    ws.on("close", () => this.ws === ws && this.lost());
    this.send({ type: "hello", version: 1, agent_id: this.user.id, name: this.user.name, ping_ms: 10_000, dispositions: DISPOSITIONS, queues: ["main", "cards"], outside: ["Head office"] });
    this.tellState();
    if (this.state === "wrap_up") this.send({ ...this.ended, wrap_up_ms: this.wrapUntil - Date.now(), transcript: SCRIPT });
    if (this.task !== null) this.connected(true);
  }

  send(message) {
    if (this.ws?.readyState === 1) this.ws.send(JSON.stringify(message));
  }

  enter(state) {
    if (this.state !== state) this.since = Date.now();
    this.state = state;
    this.tellState();
    this.desk.route();
  }

  tellState() {
    this.send({ type: "state", state: this.state, for_ms: Date.now() - this.since, next: this.next });
  }

  lost() {
    this.ws = null;
    this.stopSupervising();
    if (this.pending !== null) this.offerEnded("rescinded", "available");
    if (this.task === null) return;
    if (this.task.call !== null) this.task.call.held = true;
    this.lostTimer = setTimeout(() => {
      const { task } = this;
      this.task = null;
      this.enter("offline");
      task.call?.say("Your person was lost. You are first in line.");
    }, RESUME_MS);
  }

  text(message) {
    switch (message.type) {
      case "ping":
        return this.send({ type: "pong", n: message.n });
      case "set_state":
        if (this.state === "on_contact" || this.state === "wrap_up") {
          this.next = message.state;
          return this.tellState();
        }
        if (this.pending !== null) this.offerEnded("rescinded", message.state);
        else this.enter(message.state);
        return undefined;
      case "accept":
        if (this.pending?.offer !== message.offer_id) return this.send({ type: "error", code: "offer_gone", message: "This caller is no longer waiting for you." });
        return this.accept();
      case "reject":
        this.pending?.tried.add(this);
        return this.offerEnded("rejected", "available");
      case "hold":
        if (this.task?.call) this.task.call.held = message.on;
        return this.send({ type: "hold", call_id: this.task.id, on: message.on });
      case "colleagues":
        return this.send({ type: "colleagues", colleagues: COLLEAGUES });
      case "consult":
        this.tellConsult("asking", "private");
        if (this.task?.call) this.task.call.held = true;
        return setTimeout(() => this.tellConsult("here", "private", "eli"), 300);
      case "consult_mode":
        if (this.task?.call) this.task.call.held = message.mode === "private";
        return this.tellConsult("here", message.mode, "eli");
      case "cancel_consult":
        if (this.task?.call) this.task.call.held = false;
        return this.tellConsult("over", "private");
      case "complete":
      case "transfer":
        return this.callEnded("transferred");
      case "park":
        return this.callEnded("parked");
      case "hand_back":
        return this.callEnded("handed_back");
      case "end":
        return this.callEnded("agent_ended");
      case "wrap_up":
        this.note = message;
        clearTimeout(this.wrapTimer);
        return this.finish();
      case "supervise":
        return this.supervise(message);
      case "stop_supervising":
        return this.stopSupervising();
      case "take_over":
        this.stopSupervising();
        this.task = { id: message.call_id, handoff: randomUUID(), call: null };
        this.enter("on_contact");
        return setTimeout(() => this.connected(false), 400);
      case "force_end":
        this.desk.ended.add(message.call_id);
        return undefined;
      case "acknowledge_missed":
        return this.enter("available");
      default:
        return undefined;
    }
  }

  tellConsult(state, mode, name = null) {
    this.send({ type: "consult", call_id: this.task?.id, state, mode, with: name });
  }

  /** A made-up call is heard: its voice loops. */
  supervise({ call_id, mode }) {
    clearInterval(this.listening);
    this.supervised = call_id;
    this.send({ type: "supervising", call_id, mode, transcript: SUPERVISED });
    let at = 0;
    this.listening = setInterval(() => this.ws?.readyState === 1 && this.ws.send(ASSISTANT[(at += 1) % ASSISTANT.length]), 20);
  }

  stopSupervising() {
    clearInterval(this.listening);
    if (this.supervised !== undefined) this.send({ type: "supervising_ended", call_id: this.supervised });
    this.supervised = undefined;
  }

  offer(task) {
    task.offeredTo = this;
    task.offer = randomUUID();
    this.pending = task;
    this.state = "reserved";
    this.since = Date.now();
    this.tellState();
    this.send({
      type: "offer",
      offer_id: task.offer,
      handoff_id: task.handoff,
      call_id: task.id,
      reason: task.reason,
      summary: ["Wants to know where a parcel is that was due on Tuesday.", "The assistant gave the opening hours; it cannot see parcels."],
      brief: BRIEF,
      transcript: task.call?.lines ?? SCRIPT,
      waiting_ms: Date.now() - task.at,
      expires_in_ms: this.desk.offerMs,
      provider: task.call === null ? "twilio" : "browser",
      language: "en",
      expected_ms: 254_000,
    });
    this.offerTimer = setTimeout(() => {
      task.tried.add(this);
      this.offerEnded("timeout", "missed");
    }, this.desk.offerMs);
    if (task.call !== null) this.task = task;
  }

  offerEnded(result, state) {
    const task = this.pending;
    if (task === null) return;
    clearTimeout(this.offerTimer);
    this.pending = null;
    this.task = null;
    task.offeredTo = undefined;
    this.send({ type: "offer_ended", offer_id: task.offer, result });
    this.enter(state);
  }

  accept() {
    const task = this.pending;
    clearTimeout(this.offerTimer);
    this.pending = null;
    this.task = task;
    this.desk.remove(task);
    this.send({ type: "offer_ended", offer_id: task.offer, result: "accepted" });
    this.enter("on_contact");
    task.call?.say("Dana is here now. Goodbye from me.");
    setTimeout(() => this.task === task && this.connected(false), task.call === null ? 900 : 2_800);
  }

  connected(resumed) {
    const { task } = this;
    task.connected = true;
    if (task.call !== null) {
      task.call.queue = [];
      task.call.held = false;
      task.call.bridge = this;
    }
    this.send({ type: "connected", call_id: task.id, handoff_id: task.handoff, resumed, transcript: task.call?.lines ?? SCRIPT, brief: BRIEF });
    this.send({ type: "suggestions", call_id: task.id, question: "Where is my parcel?", hits: SUGGESTED });
    task.call?.send({ type: "caption", who: "agent", text: "", final: true });
    if (task.call !== null && !resumed) {
      setTimeout(() => task.call.line("agent", "Hello, this is Dana. Let me look that up for you.", 0.95), 700);
    }
  }

  audioFromCaller(data) {
    if (this.ws?.readyState === 1 && !this.task?.call?.held) this.ws.send(data);
  }

  callEnded(reason) {
    const { task } = this;
    if (task === null) return;
    this.task = null;
    if (task.call !== null) {
      task.call.bridge = null;
      if (reason === "agent_ended") task.call.end("hangup");
    }
    this.ended = { type: "call_ended", call_id: task.id, reason, draft: DRAFT };
    this.wrapUntil = Date.now() + this.desk.wrapUpMs;
    this.send({ ...this.ended, wrap_up_ms: this.desk.wrapUpMs });
    this.enter("wrap_up");
    this.wrapTimer = setTimeout(() => this.finish(), this.desk.wrapUpMs);
  }

  finish() {
    const next = this.next ?? "available";
    this.next = null;
    this.enter(next);
  }
}

const COLLEAGUES = [
  { agent_id: "eli", name: "eli", state: "available", free: true },
  { agent_id: "finn", name: "finn", state: "on_contact", free: false },
];

const SUGGESTED = [
  { entry: "delivery.md#times", title: "Delivery times", approved: "A parcel takes two to four days.", score: 0.86 },
];

const DRAFT = {
  summary: "The caller: “My parcel was due on Tuesday and it still has not come.”",
  disposition: null,
  by: "template",
};

const BRIEF = {
  why: "Pressed 0 for a person.",
  words: "My parcel was due on Tuesday and it still has not come.",
  why_phrase: { reason: "brief_pressed_zero" },
  facts: [{ fact: "44 79 12", source: "said by the caller, heard at 81 %", source_phrase: { reason: "fact_heard", values: { percent: "81" } } }],
  tried: ["Answered from opening-hours."],
  tried_phrases: [{ reason: "tried_entry", values: { entry: "opening-hours" } }],
  next_step: "Begin with their question, and leave out what they were told already.",
  next_step_phrase: { reason: "begin_question" },
};

const SCRIPT = [
  ["assistant", "Hello, this is the automated assistant of Larkfield. How can I help you?", 1],
  ["caller", "Hi, I am waiting for a parcel, it was due on Tuesday.", 0.92],
  ["assistant", "I am sorry, I cannot look into parcels myself. Shall I get you a person?", 1],
  ["caller", "Yes please, a real person.", 0.58],
].map(([who, text, confidence], seq) => ({ seq, who, text, at_ms: 4_000 * seq + 700, confidence, is_final: true }));

// The desk's model: what each message of the agent protocol changes.

import { assert, test } from "vitest";

import type { AgentState, Line, ToAgent } from "../api/types";
import type { Conversation } from "../lib/conversation";
import { type Desk, type Effect, NEW_DESK, lost, noted, phaseOf, receive } from "./model";

const NOW = 1_000_000;
const HELLO: ToAgent = { type: "hello", version: 1, agent_id: "a", name: "dana", ping_ms: 10_000 };
const line = (seq: number, text: string, is_final = true): Line => ({
  seq,
  who: "caller",
  text,
  at_ms: seq * 1_000,
  confidence: 0.9,
  is_final,
});
const OFFER: ToAgent = {
  type: "offer",
  offer_id: "o1",
  handoff_id: "h1",
  call_id: "c1",
  reason: "caller_asked",
  summary: ["Wants a parcel."],
  transcript: [line(0, "Hello")],
  waiting_ms: 4_000,
  expires_in_ms: 20_000,
  provider: "browser",
};
const CONNECTED: ToAgent = {
  type: "connected",
  call_id: "c1",
  handoff_id: "h1",
  resumed: false,
  transcript: [line(0, "Hello"), line(1, "Yes")],
};
const ENDED: ToAgent = { type: "call_ended", call_id: "c1", reason: "caller_hung_up", wrap_up_ms: 60_000 };

function state(state: AgentState, next: AgentState | null = null, for_ms = 0): ToAgent {
  return { type: "state", state, for_ms, next };
}

function after(...messages: ToAgent[]): { desk: Desk; effects: Effect[]; does: string[] } {
  return from(NEW_DESK, NOW, ...messages);
}

/** Takes messages in order; the effects are those of the last one. */
function from(before: Desk, now: number, ...messages: ToAgent[]): { desk: Desk; effects: Effect[]; does: string[] } {
  let desk = before;
  let effects: Effect[] = [];
  for (const message of messages) ({ desk, effects } = receive(desk, message, now));
  return { desk, effects, does: effects.map((effect) => effect.do) };
}

test("whether offers are answered by themselves belongs to the connection", () => {
  assert.equal(after(HELLO).desk.autoAnswer, null);
  const allowed: ToAgent = { ...HELLO, auto_answer: true };
  assert.equal(after(allowed).desk.autoAnswer, false);
  assert.equal(after(allowed, { type: "auto_answer", on: true }).desk.autoAnswer, true);
  assert.equal(after(allowed, { type: "auto_answer", on: true }, allowed).desk.autoAnswer, false);
  assert.equal(after(OFFER).desk.offer?.answersAt, null);
  assert.equal(after({ ...OFFER, answers_in_ms: 3_000 }).desk.offer?.answersAt, NOW + 3_000);
});

/** The words of a conversation, and the keys of what happened in it. */
function texts(said: Conversation | undefined): string[] {
  return (said ?? []).map((entry) => (entry.kind === "said" ? entry.text : entry.says));
}

const AVAILABLE = [HELLO, state("available")];
const OFFERED = [...AVAILABLE, state("reserved"), OFFER];
const ACCEPTED = [...OFFERED, { type: "offer_ended", offer_id: "o1", result: "accepted" } as const, state("on_contact")];
const TALKING = [...ACCEPTED, CONNECTED];

test("relative times become times of this clock", () => {
  const { desk } = after(HELLO, state("break", null, 5_000), { type: "queue", waiting: 2, longest_ms: 7_000 });
  assert.strictEqual(desk.since, NOW - 5_000);
  assert.deepEqual(desk.queue, { waiting: 2, longestSince: NOW - 7_000 });
  const { offer } = after(...OFFERED).desk;
  assert.strictEqual(offer?.expiresAt, NOW + 20_000);
  assert.strictEqual(offer?.waitingSince, NOW - 4_000);
});

test("a server of another version is not spoken to", () => {
  assert.strictEqual(after({ ...HELLO, version: 2 }).desk.link, "outdated");
});

test("an offer rings, whichever of state and offer comes first", () => {
  for (const order of [OFFERED, [...AVAILABLE, OFFER]]) {
    const { desk, does } = after(...order);
    assert.strictEqual(phaseOf(desk), "offer");
    assert.deepEqual(does, ["ring"]);
  }
});

for (const [result, tells] of [
  ["rejected", false],
  ["timeout", false],
  ["rescinded", true],
  ["canceled", true],
] as const) {
  test(`an offer that is ${result} stops ringing and lets the microphone go`, () => {
    const { desk, does } = after(...OFFERED, { type: "offer_ended", offer_id: "o1", result });
    assert.isNull(desk.offer);
    assert.deepEqual(does, tells ? ["quiet", "silence", "tell"] : ["quiet", "silence"]);
  });
}

test("the end of another offer changes nothing", () => {
  const { desk, does } = after(...OFFERED, { type: "offer_ended", offer_id: "o0", result: "canceled" });
  assert.strictEqual(phaseOf(desk), "offer");
  assert.deepEqual(does, []);
});

test("a state other than reserved ends an offer whose end was not heard", () => {
  const { desk, does } = after(...OFFERED, state("available"));
  assert.strictEqual(phaseOf(desk), "idle");
  assert.deepEqual(does, ["quiet", "silence"]);
});

test("accepting leads through joining to the call, with the brief kept", () => {
  assert.strictEqual(phaseOf(after(...ACCEPTED).desk), "joining");
  const { desk, does } = after(...TALKING);
  assert.strictEqual(phaseOf(desk), "call");
  assert.strictEqual(desk.call?.offer?.reason, "caller_asked");
  assert.deepEqual(texts(desk.call?.said), ["Hello", "Yes"]);
  assert.deepEqual(does, ["quiet", "talk"]);
});

test("lines of the offered, the joining and the connected call are taken, others not", () => {
  const changed: ToAgent = { type: "transcript", call_id: "c1", line: line(0, "Hello there") };
  const foreign: ToAgent = { type: "transcript", call_id: "c9", line: line(0, "Hello there") };
  for (const messages of [OFFERED, ACCEPTED, TALKING]) {
    const first = (desk: Desk): string | undefined => texts((desk.call ?? desk.joining ?? desk.offer)?.said)[0];
    assert.strictEqual(first(after(...messages, changed).desk), "Hello there");
    assert.strictEqual(first(after(...messages, foreign).desk), "Hello");
  }
  const { desk } = after(...TALKING, { type: "transcript", call_id: "c1", line: line(1, "Yes please") });
  assert.deepEqual(texts(desk.call?.said), ["Hello", "Yes please"]);
});

test("hold and keys of another call are not ours", () => {
  const held = after(...TALKING, { type: "hold", call_id: "c1", on: true });
  assert.deepEqual(held.does, ["hold"]);
  assert.strictEqual(held.desk.call?.hold, true);
  assert.deepEqual(texts(held.desk.call?.said).at(-1), "call.now_on_hold");
  assert.deepEqual(after(...TALKING, { type: "hold", call_id: "c9", on: true }).does, []);
  const pressed = after(...TALKING, { type: "dtmf", call_id: "c1", digit: "5" }).desk;
  assert.deepInclude(pressed.call?.said.at(-1), { says: "call.caller_pressed", values: { digit: "5" } });
  assert.strictEqual(after(...TALKING, { type: "dtmf", call_id: "c9", digit: "5" }).desk.call?.said.length, 2);
  assert.isNull(after(...AVAILABLE, { type: "dtmf", call_id: "c1", digit: "5" }).desk.call);
});

test("a line that changes stays where it was, before what happened since", () => {
  const { desk } = after(...TALKING, { type: "dtmf", call_id: "c1", digit: "5" });
  const later = receive(desk, { type: "transcript", call_id: "c1", line: line(1, "Yes please") }, NOW).desk;
  assert.deepEqual(texts(later.call?.said), ["Hello", "Yes please", "call.caller_pressed"]);
});

test("the end of a call begins wrap-up with what was known", () => {
  const { desk, does } = after(...TALKING, ENDED, state("wrap_up"));
  assert.strictEqual(phaseOf(desk), "wrap_up");
  assert.strictEqual(desk.wrapUp?.until, NOW + 60_000);
  assert.deepEqual(texts(desk.wrapUp?.said), ["Hello", "Yes"]);
  assert.deepEqual(does, []);
  assert.deepEqual(after(...TALKING, ENDED).does, ["silence", "ended"]);
  assert.strictEqual(phaseOf(after(...TALKING, ENDED, state("wrap_up"), state("available")).desk), "idle");
});

test("a caller who hangs up during the introduction leaves a wrap-up with the brief", () => {
  const { desk } = after(...ACCEPTED, ENDED, state("wrap_up"));
  assert.strictEqual(phaseOf(desk), "wrap_up");
  assert.strictEqual(desk.wrapUp?.offer?.offer_id, "o1");
});

test("a lost connection takes offers away and keeps the call", () => {
  assert.strictEqual(phaseOf(lost(after(...OFFERED).desk, NOW)), "idle");
  let desk = lost(after(...TALKING).desk, NOW + 500);
  assert.strictEqual(phaseOf(desk), "call");
  assert.strictEqual(desk.downSince, NOW + 500);
  desk = lost(desk, NOW + 900); // another failed try does not restart the time to come back
  assert.strictEqual(desk.downSince, NOW + 500);
  const back = from(desk, NOW + 2_000, HELLO, state("on_contact", null, 3_000), { ...CONNECTED, resumed: true });
  assert.deepEqual(back.does, ["quiet", "talk"]);
  assert.strictEqual(back.desk.call?.since, NOW, "the time on the call goes on");
  assert.strictEqual(back.desk.call?.offer?.offer_id, "o1");
  assert.deepEqual(texts(back.desk.call?.said), ["Hello", "Yes", "call.resumed"]);
});

test("coming back too late, the call is gone and the agent is told", () => {
  const { desk } = after(...TALKING);
  const back = from(lost(desk, NOW), NOW + 20_000, HELLO, state("offline"));
  assert.strictEqual(phaseOf(back.desk), "idle");
  assert.deepEqual(back.does, ["silence", "tell"]);
});

test("a page opened in the middle of wrap-up has the form and what was said", () => {
  assert.strictEqual(phaseOf(after(HELLO, state("wrap_up")).desk), "closing");
  const again: ToAgent = { ...ENDED, wrap_up_ms: 41_000, transcript: [line(0, "Hello"), line(1, "Bye")] };
  const { desk } = after(HELLO, state("wrap_up", null, 19_000), again);
  assert.strictEqual(phaseOf(desk), "wrap_up");
  assert.strictEqual(desk.wrapUp?.until, NOW + 41_000);
  assert.deepEqual(texts(desk.wrapUp?.said), ["Hello", "Bye"]);
});

test("a page that only lost its connection keeps the form it has", () => {
  const { desk } = after(...TALKING, ENDED, state("wrap_up"));
  const back = from(lost(desk, NOW + 1_000), NOW + 3_000, HELLO, state("wrap_up", null, 3_000), {
    ...ENDED,
    wrap_up_ms: 57_000,
  });
  assert.deepEqual(back.does, []);
  assert.deepEqual(back.desk.wrapUp, desk.wrapUp);
  assert.strictEqual(back.desk.wrapUp?.until, NOW + 60_000);
});

test("more time for wrap-up comes to the form that is there", () => {
  const { desk } = after(...TALKING, ENDED, state("wrap_up"), { ...ENDED, wrap_up_ms: 90_000 });
  assert.strictEqual(desk.wrapUp?.until, NOW + 90_000);
  assert.strictEqual(desk.wrapUp?.lastsMs, 90_000);
  assert.deepEqual(texts(desk.wrapUp?.said), ["Hello", "Yes"]);
});

test("breaks may have names", () => {
  const { desk } = after({ ...HELLO, break_codes: ["lunch"] }, { ...state("break"), code: "lunch" } as ToAgent);
  assert.deepEqual(desk.breakCodes, ["lunch"]);
  assert.strictEqual(desk.code, "lunch");
  assert.isNull(receive(desk, state("available"), NOW).desk.code);
});

test("the server names what an agent may choose at wrap-up", () => {
  assert.deepEqual(after({ ...HELLO, dispositions: ["sold", "lost"] }).desk.dispositions, ["sold", "lost"]);
  assert.include(after(HELLO).desk.dispositions, "resolved", "an older server says nothing");
});

test("a page opened in a call waits for it, one opened after a miss says so", () => {
  assert.strictEqual(phaseOf(after(HELLO, state("on_contact")).desk), "joining");
  assert.strictEqual(phaseOf(after(HELLO, state("missed")).desk), "missed");
  assert.strictEqual(phaseOf(after(HELLO, state("error")).desk), "missed");
});

test("what the agent does is noted in the call only", () => {
  assert.deepEqual(texts(noted(after(...TALKING).desk, "call.resumed").call?.said), ["Hello", "Yes", "call.resumed"]);
  const idle = after(...AVAILABLE).desk;
  assert.strictEqual(noted(idle, "call.resumed"), idle);
});

const HEARD: ToAgent = { type: "supervising", call_id: "c7", mode: "listen", transcript: [line(0, "Hello")] };

test("a supervised call is heard, spoken to and left; its lines are its own", () => {
  const { desk, effects } = after(...AVAILABLE, HEARD);
  assert.deepEqual(effects, [{ do: "supervise", speaks: false }]);
  const spoken = from(desk, NOW, { type: "transcript", call_id: "c7", line: line(1, "Yes") }, { ...HEARD, mode: "barge" });
  assert.deepEqual(spoken.effects, [{ do: "supervise", speaks: true }]);
  assert.strictEqual(spoken.desk.supervising?.mode, "barge");
  assert.deepEqual(texts(spoken.desk.supervising?.said), ["Hello", "Yes"]);
  assert.strictEqual(phaseOf(spoken.desk), "idle");
  assert.deepEqual(from(spoken.desk, NOW, { type: "supervising_ended", call_id: "c0" }).does, []);
  const left = from(spoken.desk, NOW, { type: "supervising_ended", call_id: "c7" });
  assert.isNull(left.desk.supervising);
  assert.deepEqual(left.does, ["silence"]);
  assert.isNull(lost(spoken.desk, NOW).supervising);
});

test("the brief comes with the call and stays after a lost connection", () => {
  const brief = { why: "Asked for a person.", words: "My parcel.", facts: [], tried: [], next_step: "Ask for the number." };
  const { desk } = after(...ACCEPTED, { ...CONNECTED, brief });
  assert.deepEqual(desk.call?.brief, brief);
  assert.deepEqual(from(desk, NOW, { ...CONNECTED, resumed: true }).desk.call?.brief, brief);
});

test("who takes a supervised call over is in it", () => {
  const { desk } = after(...AVAILABLE, HEARD, { type: "supervising_ended", call_id: "c7" }, state("on_contact"), {
    ...CONNECTED,
    call_id: "c7",
  });
  assert.strictEqual(phaseOf(desk), "call");
  assert.isNull(desk.call?.offer ?? null);
});

test("an agent sees who listens to their call", () => {
  const { desk } = after(...TALKING, { type: "supervised", call_id: "c1", by: "kim", mode: "whisper" });
  assert.deepInclude(desk.call?.said.at(-1), { says: "call.supervised_whisper", values: { by: "kim" } });
  const { desk: alone } = from(desk, NOW, { type: "supervised", call_id: "c1", by: "kim", mode: null });
  assert.deepInclude(alone.call?.said.at(-1), { says: "call.supervised_no_more", values: { by: "kim" } });
});

test("errors are told, unknown messages are not minded", () => {
  const { effects } = after(...AVAILABLE, { type: "error", code: "no_call", message: "You are on no call." });
  assert.deepEqual(effects, [{ do: "refused", code: "no_call", message: "You are on no call." }]);
  assert.deepEqual(after(...AVAILABLE, { type: "pong", n: 1 }).does, []);
  assert.deepEqual(after(...AVAILABLE, { type: "something_new" } as unknown as ToAgent).does, []);
});

const CONSULT = { type: "consult", call_id: "c1", mode: "private", with: null } as const;

test("a colleague is asked, comes, and is gone again", () => {
  const { desk } = after(HELLO, CONNECTED, { ...CONSULT, state: "asking" });
  assert.deepEqual(desk.call?.consult, { state: "asking", mode: "private", with: null });
  const here = from(desk, NOW, { ...CONSULT, state: "here", with: "eli" }, { ...CONSULT, state: "here", mode: "together", with: "eli" });
  assert.deepEqual(here.desk.call?.consult, { state: "here", mode: "together", with: "eli" });
  assert.strictEqual(texts(here.desk.call?.said).filter((key) => key === "call.colleague_here").length, 1);
  const over = from(here.desk, NOW, { ...CONSULT, state: "not_taken" });
  assert.isNull(over.desk.call?.consult ?? null);
  assert.include(texts(over.desk.call?.said), "call.consult_not_taken");
});

test("who is asked for advice has no caller until they are given one", () => {
  const asked = after(HELLO, { ...CONNECTED, consulted_by: "dana" });
  assert.strictEqual(asked.desk.call?.consultedBy, "dana");
  const given = from(asked.desk, NOW, { ...CONSULT, state: "here", mode: "together", with: "eli" }, CONNECTED);
  assert.isNull(given.desk.call?.consultedBy ?? null);
  assert.isNull(given.desk.call?.consult ?? null);
});

test("words that are known late stand where they were spoken, after the call too", () => {
  const { desk } = after(HELLO, CONNECTED, { type: "transcript", call_id: "c1", line: line(4, "later") });
  const late = from(desk, NOW, { type: "transcript", call_id: "c1", line: line(3, "earlier") });
  assert.deepEqual(texts(late.desk.call?.said), ["Hello", "Yes", "earlier", "later"]);
  const ended = from(late.desk, NOW, ENDED, { type: "transcript", call_id: "c1", line: line(5, "last") });
  assert.strictEqual(texts(ended.desk.wrapUp?.said).at(-1), "last");
});

test("a draft fills the form, and a better one comes in its place", () => {
  const draft = { summary: "Wants a parcel.", disposition: null, by: "template" } as const;
  const { desk } = after(HELLO, CONNECTED, { ...ENDED, draft } as ToAgent);
  assert.strictEqual(desk.wrapUp?.draft?.summary, "Wants a parcel.");
  const better = { summary: "The parcel comes tomorrow.", disposition: "resolved", by: "model" } as const;
  const { desk: with_it } = from(desk, NOW, { type: "draft", call_id: "c1", draft: better });
  assert.strictEqual(with_it.wrapUp?.draft?.by, "model");
});

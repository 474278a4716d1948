// The desk's model: what each message of the agent protocol changes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Desk } from "../../../src/web/console/assets/desk/model.js";

const NOW = 1_000_000;
const HELLO = { type: "hello", version: 1, agent_id: "a", name: "dana", ping_ms: 10_000 };
const state = (name, next = null, for_ms = 0) => ({ type: "state", state: name, for_ms, next });
const line = (seq, text, is_final = true) => ({ seq, who: "caller", text, at_ms: seq * 1_000, confidence: 0.9, is_final });
const OFFER = {
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
const CONNECTED = { type: "connected", call_id: "c1", handoff_id: "h1", resumed: false, transcript: [line(0, "Hello"), line(1, "Yes")] };
const ENDED = { type: "call_ended", call_id: "c1", reason: "caller_hung_up", wrap_up_ms: 60_000 };

function after(...messages) {
  const desk = new Desk();
  const effects = messages.map((message) => desk.receive(message, NOW)).at(-1);
  return { desk, effects, does: effects.map((effect) => effect.do) };
}

const AVAILABLE = [HELLO, state("available")];
const OFFERED = [...AVAILABLE, state("reserved"), OFFER];
const ACCEPTED = [...OFFERED, { type: "offer_ended", offer_id: "o1", result: "accepted" }, state("on_contact")];
const TALKING = [...ACCEPTED, CONNECTED];

test("relative times become times of this clock", () => {
  const { desk } = after(HELLO, state("break", null, 5_000), { type: "queue", waiting: 2, longest_ms: 7_000 });
  assert.equal(desk.since, NOW - 5_000);
  assert.deepEqual(desk.queue, { waiting: 2, longestSince: NOW - 7_000 });
  const { offer } = after(...OFFERED).desk;
  assert.equal(offer.expiresAt, NOW + 20_000);
  assert.equal(offer.waitingSince, NOW - 4_000);
});

test("a server of another version is not spoken to", () => {
  assert.equal(after({ ...HELLO, version: 2 }).desk.link, "outdated");
});

test("an offer rings, whichever of state and offer comes first", () => {
  for (const order of [OFFERED, [...AVAILABLE, OFFER]]) {
    const { desk, does } = after(...order);
    assert.equal(desk.phase, "offer");
    assert.deepEqual(does, ["ring"]);
  }
});

for (const [result, tells] of [
  ["rejected", false],
  ["timeout", false],
  ["rescinded", true],
  ["canceled", true],
]) {
  test(`an offer that is ${result} stops ringing and lets the microphone go`, () => {
    const { desk, does } = after(...OFFERED, { type: "offer_ended", offer_id: "o1", result });
    assert.equal(desk.offer, null);
    assert.deepEqual(does, tells ? ["quiet", "silence", "tell"] : ["quiet", "silence"]);
  });
}

test("the end of another offer changes nothing", () => {
  const { desk, does } = after(...OFFERED, { type: "offer_ended", offer_id: "o0", result: "canceled" });
  assert.equal(desk.phase, "offer");
  assert.deepEqual(does, []);
});

test("a state other than reserved ends an offer whose end was not heard", () => {
  const { desk, does } = after(...OFFERED, state("available"));
  assert.equal(desk.phase, "idle");
  assert.deepEqual(does, ["quiet", "silence"]);
});

test("accepting leads through joining to the call, with the brief kept", () => {
  assert.equal(after(...ACCEPTED).desk.phase, "joining");
  const { desk, does } = after(...TALKING);
  assert.equal(desk.phase, "call");
  assert.equal(desk.call.brief.reason, "caller_asked");
  assert.equal(desk.call.lines.size, 2);
  assert.deepEqual(does, ["quiet", "talk"]);
});

test("lines of the offered, the joining and the connected call are taken, others not", () => {
  for (const messages of [OFFERED, ACCEPTED, TALKING]) {
    const changed = { type: "transcript", call_id: "c1", line: line(0, "Hello there") };
    assert.deepEqual(after(...messages, changed).does, ["line"]);
  }
  const foreign = { type: "transcript", call_id: "c9", line: line(0, "Hello there") };
  assert.deepEqual(after(...TALKING, foreign).does, []);
  const { desk } = after(...TALKING, { type: "transcript", call_id: "c1", line: line(1, "Yes please") });
  assert.equal(desk.call.lines.get(1).text, "Yes please");
});

test("hold and keys of another call are not ours", () => {
  assert.deepEqual(after(...TALKING, { type: "hold", call_id: "c1", on: true }).does, ["hold"]);
  assert.deepEqual(after(...TALKING, { type: "hold", call_id: "c9", on: true }).does, []);
  assert.deepEqual(after(...TALKING, { type: "dtmf", call_id: "c1", digit: "5" }).does, ["note"]);
  assert.deepEqual(after(...AVAILABLE, { type: "dtmf", call_id: "c1", digit: "5" }).does, []);
});

test("the end of a call begins wrap-up with what was known", () => {
  const { desk, does } = after(...TALKING, ENDED, state("wrap_up"));
  assert.equal(desk.phase, "wrap_up");
  assert.equal(desk.wrapUp.until, NOW + 60_000);
  assert.equal(desk.wrapUp.lines.size, 2);
  assert.deepEqual(does, []);
  assert.deepEqual(after(...TALKING, ENDED).does, ["silence", "ended"]);
  assert.equal(after(...TALKING, ENDED, state("wrap_up"), state("available")).desk.phase, "idle");
});

test("a caller who hangs up during the introduction leaves a wrap-up with the brief", () => {
  const { desk } = after(...ACCEPTED, ENDED, state("wrap_up"));
  assert.equal(desk.phase, "wrap_up");
  assert.equal(desk.wrapUp.brief.offer_id, "o1");
});

test("a lost connection takes offers away and keeps the call", () => {
  const offered = after(...OFFERED).desk;
  offered.lost(NOW);
  assert.equal(offered.phase, "idle");
  const { desk } = after(...TALKING);
  desk.lost(NOW + 500);
  assert.equal(desk.phase, "call");
  assert.equal(desk.downSince, NOW + 500);
  desk.lost(NOW + 900); // another failed try does not restart the time to come back
  assert.equal(desk.downSince, NOW + 500);
  for (const message of [HELLO, state("on_contact", null, 3_000)]) desk.receive(message, NOW + 2_000);
  const effects = desk.receive({ ...CONNECTED, resumed: true }, NOW + 2_000);
  assert.deepEqual(effects, [{ do: "quiet" }, { do: "talk", resumed: true }]);
  assert.equal(desk.call.since, NOW, "the time on the call goes on");
  assert.equal(desk.call.brief.offer_id, "o1");
});

test("coming back too late, the call is gone and the agent is told", () => {
  const { desk } = after(...TALKING);
  desk.lost(NOW);
  desk.receive(HELLO, NOW + 20_000);
  const effects = desk.receive(state("offline"), NOW + 20_000);
  assert.equal(desk.phase, "idle");
  assert.deepEqual(effects.map((effect) => effect.do), ["silence", "tell"]);
});

test("a page opened in the middle of wrap-up has the form and what was said", () => {
  assert.equal(after(HELLO, state("wrap_up")).desk.phase, "closing");
  const again = { ...ENDED, wrap_up_ms: 41_000, transcript: [line(0, "Hello"), line(1, "Bye")] };
  const { desk } = after(HELLO, state("wrap_up", null, 19_000), again);
  assert.equal(desk.phase, "wrap_up");
  assert.equal(desk.wrapUp.until, NOW + 41_000);
  assert.equal(desk.wrapUp.lines.get(1).text, "Bye");
});

test("a page that only lost its connection keeps the form it has", () => {
  const { desk } = after(...TALKING, ENDED, state("wrap_up"));
  const form = desk.wrapUp;
  desk.lost(NOW + 1_000);
  for (const message of [HELLO, state("wrap_up", null, 3_000)]) desk.receive(message, NOW + 3_000);
  assert.deepEqual(desk.receive({ ...ENDED, wrap_up_ms: 57_000 }, NOW + 3_000), []);
  assert.equal(desk.wrapUp, form);
  assert.equal(form.lines.size, 2);
  assert.equal(form.until, NOW + 60_000);
});

test("the server names what an agent may choose at wrap-up", () => {
  assert.deepEqual(after({ ...HELLO, dispositions: ["sold", "lost"] }).desk.dispositions, ["sold", "lost"]);
  assert.ok(after(HELLO).desk.dispositions.includes("resolved"), "an older server says nothing");
});

test("a page opened in a call waits for it, one opened after a miss says so", () => {
  assert.equal(after(HELLO, state("on_contact")).desk.phase, "joining");
  assert.equal(after(HELLO, state("missed")).desk.phase, "missed");
  assert.equal(after(HELLO, state("error")).desk.phase, "missed");
});

test("errors are told, unknown messages are not minded", () => {
  assert.deepEqual(after(...AVAILABLE, { type: "error", code: "no_call", message: "You are on no call." }).effects[0].text, "You are on no call.");
  assert.deepEqual(after(...AVAILABLE, { type: "pong", n: 1 }).does, []);
  assert.deepEqual(after(...AVAILABLE, { type: "something_new" }).does, []);
});

// Calls and messages of a made-up day.

import { stereo, voiceAt } from "../voice.mjs";
import { commentsOf, scoresOf } from "./review.mjs";

const at = (minutesAgo) => new Date(Date.now() - minutesAgo * 60_000).toISOString();
/** How long every call with a recording lasts, without what came before the notice was heard. */
const TALK_MS = 42_000;
const uuid = (n) => `0197c1d2-0000-7000-8000-${String(n).padStart(12, "0")}`;
/** The caller on the left, our side on the right, each where the turns below say that they speak. */
const recording = stereo(TALK_MS, [
  voiceAt([[8_100, 10_200], [16_000, 19_100], [22_000, 23_900], [44_600, 48_000]], 210),
  voiceAt([[6_300, 6_900], [11_300, 14_800], [20_700, 22_000], [24_700, 27_300], [41_000, 44_000]], 140),
]);

const OUTCOMES = ["spoke_with_agent", "ended_with_assistant", "left_message", "abandoned_in_queue", "ended_with_assistant", "callback_booked", "interrupted"];

const all = Array.from({ length: 63 }, (_, i) => {
  const outcome = i === 0 ? "live" : OUTCOMES[i % OUTCOMES.length];
  const began = 3 + i * 27;
  return {
    id: uuid(900 - i),
    provider: i % 3 === 0 ? "twilio" : "browser",
    provider_call_id: `CA${i}`,
    from: i % 3 === 0 ? "+44 20 7946 0958" : null,
    to: i % 3 === 0 ? "+44 20 7946 0100" : null,
    started_at: at(began),
    ended_at: i === 0 ? null : i === 1 ? at(began - 0.8) : at(began - 1.2 - (i % 5)),
    outcome,
    recording: i === 0 || i % 4 === 3 ? null : `${uuid(900 - i)}.wav`,
    notice_at_ms: i === 0 ? null : 6_200,
  };
});

/** A telephone call comes in now. */
export function newCall() {
  all.unshift({ ...all[0], id: uuid(901), provider: "vonage", from: "+44 20 7946 0958", to: "+44 20 7946 0100", started_at: at(0) });
}

export function calls(query) {
  const [before, outcome, since, until, said] = ["before", "outcome", "since", "until", "said"].map((key) => query.get(key));
  const some = all.filter(
    (call) =>
      (outcome === null || call.outcome === outcome) &&
      (since === null || call.started_at >= since) &&
      (until === null || call.started_at < until) &&
      (said === null || detail(call.id).turns.some(({ text }) => text.toLowerCase().includes(said.toLowerCase()))),
  );
  const from = before === null ? 0 : some.findIndex((call) => call.id === before) + 1;
  const to = from + Number(query.get("limit") ?? 50);
  return { calls: some.slice(from, to), next: to < some.length ? some[to - 1].id : null };
}

const timings = (endpointing_ms, stt_ms, llm_ms, tts_ms) => ({
  endpointing_ms,
  stt_ms,
  llm_ms,
  tts_ms,
  response_ms: endpointing_ms + stt_ms + llm_ms + tts_ms,
  decode_ms: 310,
});

export function detail(id) {
  const call = all.find((each) => each.id === id);
  if (call === undefined) return undefined;
  const said = [
    ["assistant", "Hello, this is the automated assistant of Larkfield. This call is recorded. How can I help you?", 1, 0, 6_900, null, []],
    ["caller", "When are you open on Saturday?", 0.93, 8_100, 10_200, null, []],
    ["assistant", "On Saturdays we are open from nine in the morning to one in the afternoon.", 1, 11_300, 14_800, timings(420, 60, 610, 180), [{ entry: "opening-hours", score: 0.81 }]],
    ["caller", "And my parcel, eh, it was due on Tuesday.", 0.61, 16_000, 19_100, null, []],
    ["assistant", "I am sorry, I cannot look", 1, 20_700, 22_000, timings(640, 240, 890, 210), []],
    ["caller", "Can I talk to a person please?", 0.97, 22_000, 23_900, null, []],
    ["assistant", "Of course. I am getting somebody for you.", 1, 24_700, 27_300, timings(310, 20, 0, 140), []],
    ["agent", "Hello, this is Dana. Let me look that up for you.", 0.95, 41_000, 44_000, null, []],
    ["caller", "It goes to Brampton Lane or Crampton Lane.", 0.38, 44_600, 48_000, null, []],
  ];
  const turns = said.map(([who, text, confidence, started_ms, ended_ms, timing, entries], seq) => ({
    call_id: id,
    seq,
    who,
    text,
    planned: seq === 4 ? "I am sorry, I cannot look into parcels myself. Shall I get you a person?" : null,
    confidence,
    started_ms,
    ended_ms,
    timings: timing,
    entries,
    agent_id: who === "agent" ? "dana" : null,
  }));
  const handoff = uuid(5_001);
  return {
    call,
    turns,
    triggers: [{ call_id: id, handoff_id: handoff, at_ms: 23_950, reason: "caller_asked", signals: { rule: "transfer", confidence: 0.97 } }],
    handoffs: [
      {
        id: handoff,
        call_id: id,
        reason: "caller_asked",
        summary: ["Wants to know where a parcel is that was due on Tuesday.", "The assistant gave the opening hours; it cannot see parcels."],
        requested_at: call.started_at,
        bridged_at: new Date(Date.parse(call.started_at) + 17_000).toISOString(),
        ended_at: call.ended_at,
        outcome: "bridged",
        agent_id: "dana",
      },
    ],
    offers: [
      { id: uuid(6_001), handoff_id: handoff, call_id: id, agent_id: "kim", offered_at: call.started_at, ended_at: call.started_at, result: "rejected", reason: "Lunch" },
      { id: uuid(6_002), handoff_id: handoff, call_id: id, agent_id: "dana", offered_at: call.started_at, ended_at: call.started_at, result: "accepted", reason: null },
    ],
    messages: [],
    tools: [{ id: uuid(6_100), call_id: id, tool: "find_parcel", arguments: { postcode: "LF4 7PD" }, changes: false, outcome: "done", status: 200, started_ms: 19_300, ended_ms: 20_400, detail: null }],
    wrap_ups: [{ call_id: id, agent_id: "dana", note: "Parcel is at the depot, comes tomorrow.\nWill call back if not.", disposition: "resolved", at: call.started_at }],
    comments: [
      { id: uuid(8_001), call_id: id, author_id: "sam", at: call.started_at, at_ms: 16_000, text: "The caller had to wait for the answer here. Parcels belong to people until we can look them up." },
      ...commentsOf(id),
    ],
    scores: scoresOf(id),
    parties: partiesOf(call),
    contacts: [],
  };
}

/** Dana has the caller, asks Kim, all three speak, and Kim goes on with the caller. */
function partiesOf(call) {
  const moment = (second) => new Date(Date.parse(call.started_at) + 1_000 * second).toISOString();
  const party = (n, agent_id, part, from, to, together = null) => ({
    id: uuid(9_000 + n),
    call_id: call.id,
    agent_id,
    part,
    joined_at: moment(from),
    together_at: together === null ? null : moment(together),
    left_at: moment(to),
  });
  return [party(0, "dana", "agent", 29, 40), party(1, "kim", "consulted", 33, 40, 37), party(2, "kim", "agent", 40.3, 47)];
}

export function recordingOf() {
  return recording;
}

export const messages = [
  { kind: "voicemail", number: "+44 20 7946 0958", text: "Hello, this is about the invoice from last week, the amount is wrong. Please call me back after five.", recording: "a.wav" },
  { kind: "callback", number: "+44 20 7946 0321", text: null, recording: null },
  { kind: "voicemail", number: null, text: null, recording: "b.wav" },
].map((message, i) => ({
  id: uuid(7_000 + i),
  call_id: uuid(898),
  created_at: at(12 + i * 95),
  done_by: null,
  done_at: null,
  ...message,
}));

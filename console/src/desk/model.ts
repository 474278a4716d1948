// What the desk knows, and how each message of the agent protocol changes it. Pure: time comes in as an argument.
//
//   idle ──offer──▶ offer ──accepted──▶ joining ──connected──▶ call ──call_ended──▶ wrap_up ──state──▶ idle
//                     └──expired──▶ missed ──state──▶ idle

import type {
  AgentState,
  Brief,
  CallEnd,
  Colleague,
  ConsultMode,
  ConsultState,
  Line,
  Offer,
  OfferResult,
  Suggestion,
  Supervision,
  ToAgent,
  WrapUpDraft,
} from "../api/types";
import type { MessageKey } from "../i18n/i18n.svelte";
import { type Conversation, saidOf, withEvent, withLines, withSaid } from "../lib/conversation";

/** The version of the protocol this page speaks. */
export const VERSION = 1;

export type Link = "connecting" | "up" | "down" | "replaced" | "outdated";
export type Phase = "idle" | "offer" | "joining" | "call" | "wrap_up" | "closing" | "missed";

/** A caller held out to this agent, with times of our clock. */
export interface HeldOffer {
  offer: Offer;
  said: Conversation;
  expiresAt: number;
  /** Answered by itself then; null: not. */
  answersAt: number | null;
  waitingSince: number;
}

/** The connected call. */
export interface Call {
  id: string;
  offer: Offer | null;
  brief: Brief | null;
  said: Conversation;
  since: number;
  hold: boolean;
  holdSince: number;
  /** A colleague who has the caller asked for advice. */
  consultedBy: string | null;
  /** The colleague who is asked, or the asker, and who hears whom. */
  consult: Consult | null;
  suggestions: Suggestions | null;
}

export interface Consult {
  state: ConsultState;
  mode: ConsultMode;
  with: string | null;
}

/** What the knowledge base has for the caller's last words. */
export interface Suggestions {
  question: string;
  hits: readonly Suggestion[];
}

/** A caller a colleague has set aside, with times of our clock. */
export interface ParkedCaller {
  callId: string;
  by: string;
  until: number;
  summary: readonly string[];
}

/** A call of somebody else that a supervisor hears. */
export interface Supervising {
  callId: string;
  mode: Supervision;
  said: Conversation;
}

/** The form after a call. */
export interface WrapUp {
  callId: string;
  reason: CallEnd;
  until: number;
  lastsMs: number;
  offer: Offer | null;
  said: Conversation;
  talkedMs: number | null;
  draft: WrapUpDraft | null;
}

export interface Desk {
  state: AgentState;
  since: number;
  next: AgentState | null;
  queue: { waiting: number; longestSince: number };
  offer: HeldOffer | null;
  joining: HeldOffer | null;
  call: Call | null;
  wrapUp: WrapUp | null;
  supervising: Supervising | null;
  dispositions: readonly string[];
  breakCodes: readonly string[];
  /** Where callers can be sent to. */
  queues: readonly string[];
  /** Telephones callers can be sent to. */
  outside: readonly string[];
  /** Who was there when it was last asked. */
  colleagues: readonly Colleague[];
  parked: readonly ParkedCaller[];
  /** Whether offers are answered by themselves; null: no queue does that. */
  autoAnswer: boolean | null;
  /** The name of the break. */
  code: string | null;
  link: Link;
  downSince: number;
}

/** What has to be done outside. */
export type Effect =
  | { do: "ring"; held: HeldOffer }
  | { do: "quiet" }
  | { do: "talk" }
  | { do: "silence" }
  | { do: "hold"; on: boolean }
  | { do: "supervise"; speaks: boolean }
  | { do: "tell"; says: MessageKey }
  | { do: "refused"; code: string; message: string }
  | { do: "ended" };

export interface Step {
  desk: Desk;
  effects: Effect[];
}

export const NEW_DESK: Desk = {
  state: "offline",
  since: 0,
  next: null,
  queue: { waiting: 0, longestSince: 0 },
  offer: null,
  joining: null,
  call: null,
  wrapUp: null,
  supervising: null,
  dispositions: ["resolved", "follow_up", "wrong_number", "other"], // until the server names its own
  breakCodes: [],
  queues: [],
  outside: [],
  colleagues: [],
  parked: [],
  autoAnswer: null,
  code: null,
  link: "connecting",
  downSince: 0,
};

/** What the page shows. */
export function phaseOf(desk: Desk): Phase {
  if (desk.call !== null) return "call";
  if (desk.joining !== null) return "joining";
  if (desk.offer !== null) return "offer";
  if (desk.wrapUp !== null) return "wrap_up";
  if (desk.state === "missed" || desk.state === "error") return "missed";
  if (desk.state === "wrap_up") return "closing";
  return desk.state === "on_contact" ? "joining" : "idle";
}

/** The connection was lost. Offers are taken back by the server; a call waits for us. */
export function lost(desk: Desk, now: number): Desk {
  const downSince = desk.link === "up" ? now : desk.downSince;
  return { ...desk, link: "down", downSince, offer: null, joining: null, supervising: null };
}

/** Another window of this account has the desk now. */
export function replaced(desk: Desk): Desk {
  return { ...desk, link: "replaced", call: null };
}

/** Something happened in the call that the agent should see between the lines. */
export function noted(desk: Desk, says: MessageKey, values: Record<string, string> = {}): Desk {
  if (desk.call === null) return desk;
  return { ...desk, call: { ...desk.call, said: withEvent(desk.call.said, says, values) } };
}

/** Takes one message. */
export function receive(desk: Desk, message: ToAgent, now: number): Step {
  switch (message.type) {
    case "hello": {
      const { version, dispositions = [], break_codes: breakCodes = [], queues = [], outside = [] } = message;
      const link = version === VERSION ? "up" : "outdated";
      const offered = dispositions.length > 0 ? dispositions : desk.dispositions;
      // What was agreed to belongs to the connection.
      const autoAnswer = message.auto_answer === true ? false : null;
      return step({ ...desk, link, dispositions: offered, breakCodes, queues, outside, autoAnswer, parked: [] });
    }
    case "auto_answer":
      return step({ ...desk, autoAnswer: message.on });
    case "state":
      return enter({ ...desk, code: message.code ?? null }, message.state, now - message.for_ms, message.next ?? null);
    case "queue":
      return step({ ...desk, queue: { waiting: message.waiting, longestSince: now - message.longest_ms } });
    case "offer": {
      const { type: _, ...offer } = message;
      const held = {
        offer,
        said: withLines([], offer.transcript),
        expiresAt: now + offer.expires_in_ms,
        answersAt: offer.answers_in_ms == null ? null : now + offer.answers_in_ms,
        waitingSince: now - offer.waiting_ms,
      };
      return step({ ...desk, offer: held }, { do: "ring", held });
    }
    case "offer_ended":
      return offerEnded(desk, message.offer_id, message.result);
    case "connected":
      return connected(desk, message, now);
    case "transcript":
      return step(heard(desk, message.call_id, message.line));
    case "hold": {
      const { call } = desk;
      if (call?.id !== message.call_id || call.hold === message.on) return step(desk);
      const held = { ...desk, call: { ...call, hold: message.on, holdSince: now } };
      return step(noted(held, message.on ? "call.now_on_hold" : "call.now_back"), { do: "hold", on: message.on });
    }
    case "dtmf":
      if (desk.call?.id !== message.call_id) return step(desk);
      return step(noted(desk, "call.caller_pressed", { digit: message.digit }));
    case "call_ended":
      return callEnded(desk, message, now);
    case "consult":
      return consulted(desk, message);
    case "colleagues":
      return step({ ...desk, colleagues: message.colleagues });
    case "parked": {
      const parked = message.callers.map(({ call_id: callId, by, left_ms, summary }) => ({
        callId,
        by,
        until: now + left_ms,
        summary,
      }));
      return step({ ...desk, parked });
    }
    case "suggestions": {
      const { call } = desk;
      if (call?.id !== message.call_id) return step(desk);
      return step({ ...desk, call: { ...call, suggestions: { question: message.question, hits: message.hits } } });
    }
    case "draft":
      if (desk.wrapUp?.callId !== message.call_id) return step(desk);
      return step({ ...desk, wrapUp: { ...desk.wrapUp, draft: message.draft } });
    case "supervising": {
      const { call_id: callId, mode, transcript } = message;
      const before = desk.supervising?.callId === callId ? desk.supervising.said : [];
      const supervising = { callId, mode, said: withLines(before, transcript) };
      return step({ ...desk, supervising }, { do: "supervise", speaks: mode !== "listen" });
    }
    case "supervising_ended":
      if (desk.supervising?.callId !== message.call_id) return step(desk);
      return step({ ...desk, supervising: null }, { do: "silence" });
    case "supervised":
      if (desk.call?.id !== message.call_id) return step(desk);
      return step(noted(desk, SUPERVISED[message.mode ?? "no_more"], { by: message.by }));
    case "error":
      return step(desk, { do: "refused", code: message.code, message: message.message });
    default:
      return step(desk); // pong, and whatever a newer server says
  }
}

const SUPERVISED: Record<Supervision | "no_more", MessageKey> = {
  listen: "call.supervised_listen",
  whisper: "call.supervised_whisper",
  barge: "call.supervised_barge",
  no_more: "call.supervised_no_more",
};

function step(desk: Desk, ...effects: Effect[]): Step {
  return { desk, effects };
}

function enter(before: Desk, state: AgentState, since: number, next: AgentState | null): Step {
  const desk = { ...before, state, since, next };
  const effects: Effect[] = [];
  if (state !== "reserved" && desk.offer !== null) {
    desk.offer = null;
    effects.push({ do: "quiet" });
    if (state !== "on_contact") effects.push({ do: "silence" });
  }
  if (state !== "reserved" && state !== "on_contact") desk.joining = null;
  if (state !== "on_contact" && state !== "wrap_up" && desk.call !== null) {
    // The server knows of no call any more: it ended while we were away.
    desk.call = null;
    effects.push({ do: "silence" }, { do: "tell", says: "desk.call_went_on" });
  }
  if (state !== "wrap_up" && state !== "on_contact") desk.wrapUp = null;
  return { desk, effects };
}

const TOLD: Partial<Record<OfferResult, MessageKey>> = {
  canceled: "desk.caller_left",
  rescinded: "desk.given_away",
};

function offerEnded(desk: Desk, offerId: string, result: OfferResult): Step {
  const { offer } = desk;
  if (offer?.offer.offer_id !== offerId) return step(desk);
  if (result === "accepted") return step({ ...desk, offer: null, joining: offer }, { do: "quiet" });
  const says = TOLD[result];
  const tell: Effect[] = says === undefined ? [] : [{ do: "tell", says }];
  return step({ ...desk, offer: null }, { do: "quiet" }, { do: "silence" }, ...tell);
}

type Connected = Extract<ToAgent, { type: "connected" }>;

function connected(desk: Desk, message: Connected, now: number): Step {
  const { call_id: id, transcript, resumed, brief, consulted_by: consultedBy = null } = message;
  const same = desk.call?.id === id ? desk.call : null;
  const joining = desk.joining?.offer.call_id === id ? desk.joining : null;
  const said = withLines(same?.said ?? [], transcript);
  const call: Call = {
    id,
    offer: joining?.offer ?? same?.offer ?? null,
    brief: brief === undefined || brief.why === "" ? (same?.brief ?? null) : brief,
    said: resumed ? withEvent(said, "call.resumed") : said,
    since: same?.since ?? now,
    hold: false,
    holdSince: now,
    consultedBy,
    consult: consultedBy === null ? null : { state: "here", mode: "private", with: null },
    suggestions: same?.suggestions ?? null,
  };
  return step({ ...desk, offer: null, joining: null, wrapUp: null, call }, { do: "quiet" }, { do: "talk" });
}

/** A line of the supervised, the offered, the joining or the connected call. */
function heard(desk: Desk, callId: string, line: Line): Desk {
  const said = saidOf(line);
  const { supervising } = desk;
  if (supervising?.callId === callId) {
    return { ...desk, supervising: { ...supervising, said: withSaid(supervising.said, said) } };
  }
  if (desk.call?.id === callId) return { ...desk, call: { ...desk.call, said: withSaid(desk.call.said, said) } };
  if (desk.wrapUp?.callId === callId) {
    return { ...desk, wrapUp: { ...desk.wrapUp, said: withSaid(desk.wrapUp.said, said) } };
  }
  const grown = (held: HeldOffer | null): HeldOffer | null =>
    held?.offer.call_id === callId ? { ...held, said: withSaid(held.said, said) } : held;
  return { ...desk, joining: grown(desk.joining), offer: grown(desk.offer) };
}

type Consulted = Extract<ToAgent, { type: "consult" }>;

function consulted(desk: Desk, { call_id, state, mode, with: name = null }: Consulted): Step {
  const { call } = desk;
  if (call?.id !== call_id) return step(desk);
  const over = state === "over" || state === "not_taken";
  if (over && call.consultedBy !== null) return step(desk); // `call_ended` or `connected` says the rest
  const changed = { ...desk, call: { ...call, consult: over ? null : { state, mode, with: name } } };
  if (over) return step(noted(changed, state === "over" ? "call.consult_over" : "call.consult_not_taken"));
  const came = state === "here" && call.consult?.state !== "here" && call.consultedBy === null;
  return step(came ? noted(changed, "call.colleague_here", { name: name ?? "" }) : changed);
}

type CallEnded = Extract<ToAgent, { type: "call_ended" }>;

function callEnded(desk: Desk, { call_id, reason, wrap_up_ms, transcript, draft }: CallEnded, now: number): Step {
  if (desk.call !== null && desk.call.id !== call_id) return step(desk);
  if (desk.wrapUp?.callId === call_id) {
    // Told again after a lost connection, or with more time: the form stays as it is.
    const lastsMs = Math.max(desk.wrapUp.lastsMs, wrap_up_ms);
    return step({ ...desk, wrapUp: { ...desk.wrapUp, until: now + wrap_up_ms, lastsMs } });
  }
  const { call, joining } = desk;
  const ended: Desk = { ...desk, call: null, joining: null };
  if (wrap_up_ms > 0) {
    ended.wrapUp = {
      callId: call_id,
      reason,
      until: now + wrap_up_ms,
      lastsMs: wrap_up_ms,
      offer: call?.offer ?? joining?.offer ?? null,
      said: call?.said ?? joining?.said ?? withLines([], transcript),
      talkedMs: call === null ? null : now - call.since,
      draft: draft ?? null,
    };
  }
  return step(ended, { do: "silence" }, { do: "ended" });
}

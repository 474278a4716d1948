// What the desk knows, and how each message of the agent protocol changes it. Pure: time comes in as an argument.
//
//   idle ──offer──▶ offer ──accepted──▶ joining ──connected──▶ call ──call_ended──▶ wrap_up ──state──▶ idle
//                     └──expired──▶ missed ──state──▶ idle

/** The version of the protocol this page speaks. */
export const VERSION = 1;

/** One agent's desk. `receive` takes messages in order; it returns what has to be done outside. */
export class Desk {
  constructor() {
    this.state = "offline";
    this.since = 0;
    this.next = null;
    this.queue = { waiting: 0, longestSince: 0 };
    this.offer = null;
    this.joining = null;
    this.call = null;
    this.wrapUp = null;
    this.dispositions = ["resolved", "follow_up", "wrong_number", "other"]; // until the server names its own
    this.link = "connecting"; // connecting, up, down, replaced, outdated
    this.downSince = 0;
  }

  /** What the page shows. */
  get phase() {
    if (this.call !== null) return "call";
    if (this.joining !== null) return "joining";
    if (this.offer !== null) return "offer";
    if (this.wrapUp !== null) return "wrap_up";
    if (this.state === "missed" || this.state === "error") return "missed";
    if (this.state === "wrap_up") return "closing";
    if (this.state === "on_contact") return "joining";
    return "idle";
  }

  /** The connection was lost. Offers are taken back by the server; a call waits for us. */
  lost(now) {
    if (this.link === "up") this.downSince = now;
    this.link = "down";
    this.offer = null;
    this.joining = null;
    return [];
  }

  /** Takes one message; returns effects: `{do: "ring" | "quiet" | "talk" | "silence" | "tell" | "note", …}`. */
  receive(message, now) {
    switch (message.type) {
      case "hello":
        this.link = message.version === VERSION ? "up" : "outdated";
        if (message.dispositions?.length > 0) this.dispositions = message.dispositions;
        return [];
      case "state":
        return this.#enter(message, now);
      case "queue":
        this.queue = { waiting: message.waiting, longestSince: now - message.longest_ms };
        return [];
      case "offer":
        this.offer = {
          ...message,
          lines: byNumber(message.transcript),
          expiresAt: now + message.expires_in_ms,
          lastsMs: message.expires_in_ms,
          waitingSince: now - message.waiting_ms,
        };
        return [{ do: "ring", offer: this.offer }];
      case "offer_ended":
        return this.#offerEnded(message);
      case "connected":
        return this.#connected(message, now);
      case "transcript":
        return this.#transcript(message);
      case "hold":
        if (this.call?.id !== message.call_id || this.call.hold === message.on) return [];
        this.call.hold = message.on;
        this.call.holdSince = now;
        return [{ do: "hold", on: message.on }];
      case "dtmf":
        if (this.call?.id !== message.call_id) return [];
        return [{ do: "note", text: `The caller pressed ${message.digit}.` }];
      case "call_ended":
        return this.#callEnded(message, now);
      case "error":
        return [{ do: "tell", text: message.message, kind: "bad", code: message.code }];
      default:
        return []; // pong, and whatever a newer server says
    }
  }

  #enter({ state, for_ms, next }, now) {
    this.state = state;
    this.since = now - for_ms;
    this.next = next ?? null;
    const effects = [];
    if (state !== "reserved" && this.offer !== null) {
      this.offer = null;
      effects.push({ do: "quiet" });
      if (state !== "on_contact") effects.push({ do: "silence" });
    }
    if (state !== "reserved" && state !== "on_contact") this.joining = null;
    if (state !== "on_contact" && state !== "wrap_up" && this.call !== null) {
      // The server knows of no call any more: it ended while we were away.
      this.call = null;
      effects.push({ do: "silence" }, { do: "tell", text: "The call went on without you: you were away too long." });
    }
    if (state !== "wrap_up" && state !== "on_contact") this.wrapUp = null;
    return effects;
  }

  #offerEnded({ offer_id, result }) {
    if (this.offer?.offer_id !== offer_id) return [];
    const offer = this.offer;
    this.offer = null;
    if (result === "accepted") {
      this.joining = offer;
      return [{ do: "quiet" }];
    }
    const texts = {
      canceled: "The caller left before the call was answered.",
      rescinded: "The call was given to somebody else.",
    };
    const effects = [{ do: "quiet" }, { do: "silence" }];
    if (texts[result] !== undefined) effects.push({ do: "tell", text: texts[result] });
    return effects;
  }

  #connected({ call_id, handoff_id, resumed, transcript }, now) {
    const same = this.call?.id === call_id ? this.call : null;
    const brief = this.joining?.call_id === call_id ? this.joining : same?.brief ?? null;
    this.offer = null;
    this.joining = null;
    this.wrapUp = null;
    this.call = {
      id: call_id,
      handoffId: handoff_id,
      brief,
      lines: byNumber(transcript),
      since: same?.since ?? now,
      hold: false,
      holdSince: now,
      resumed,
    };
    return [{ do: "quiet" }, { do: "talk", resumed }];
  }

  #transcript({ call_id, line }) {
    for (const place of [this.call, this.joining, this.offer]) {
      if (place === null || (place.id ?? place.call_id) !== call_id) continue;
      place.lines.set(line.seq, line);
      return [{ do: "line", line }];
    }
    return [];
  }

  #callEnded({ call_id, reason, wrap_up_ms, transcript }, now) {
    if (this.call !== null && this.call.id !== call_id) return [];
    if (this.wrapUp?.callId === call_id) {
      // Told again after a lost connection: the form stays as it is.
      this.wrapUp.until = now + wrap_up_ms;
      return [];
    }
    const { call, joining } = this;
    this.call = null;
    this.joining = null;
    if (wrap_up_ms > 0) {
      this.wrapUp = {
        callId: call_id,
        reason,
        until: now + wrap_up_ms,
        lastsMs: wrap_up_ms,
        brief: call?.brief ?? joining,
        lines: (call ?? joining)?.lines ?? byNumber(transcript),
        talkedMs: call === null ? null : now - call.since,
      };
    }
    return [{ do: "silence" }, { do: "ended", reason }];
  }
}

function byNumber(lines) {
  return new Map((lines ?? []).map((line) => [line.seq, line]));
}

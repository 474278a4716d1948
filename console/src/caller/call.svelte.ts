// The caller's call.
//
//   idle ──call──▶ preparing (microphone) ──▶ connecting (pass, socket) ──started──▶ live ──▶ ended ──call──▶ …
//
// Any failure leads to `ended` with a sentence that says what to do.

import { ApiError, api, take } from "../api/client";
import type { Speaker } from "../api/types";
import { MicrophoneError } from "../audio/microphone";
import { Voice } from "../audio/voice";
import { type MessageKey, t } from "../i18n/i18n.svelte";
import { type Conversation, withEvent, withSaid } from "../lib/conversation";
import { type Caption, type Ending, Line } from "./line";

export type Phase = "idle" | "preparing" | "connecting" | "live" | "ended";

/** One try to call: what belongs to an older one is not listened to any more. */
interface Visit {
  voice: Voice;
  line: Line | null;
  /** Finished captions of each speaker: the next one is a new line. */
  captions: Map<Speaker, number>;
}

const PROBLEMS: Partial<Record<Ending["kind"], [status: MessageKey, problem: MessageKey]>> = {
  refused: ["caller.not_started", "caller.refused"],
  lost: ["caller.cut_off", "caller.lost"],
};

export class CallerCall {
  phase = $state<Phase>("idle");
  status = $state<MessageKey>("caller.lead");
  problem = $state("");
  said = $state.raw<Conversation>([]);
  muted = $state(false);
  withPerson = $state(false);
  startedAt = $state<number | null>(null);
  /** How long the last call took; null when it never began. */
  talkedMs = $state<number | null>(null);
  marksPlayed = $state(0);
  /** The browser-call switch of the server. */
  available = $state(true);

  #visit: Visit | null = null;
  #wakeLock: WakeLockSentinel | null = null;

  /** Levels and counts of this moment. */
  get stats(): { mic: number; heard: number; underruns: number; waitingMs: number; sent: number; received: number } {
    const { mic, heard, underruns, waitingMs } = this.#visit?.voice.stats ?? SILENCE;
    const { sent, received } = this.#visit?.line?.frames ?? { sent: 0, received: 0 };
    return { mic: this.muted ? 0 : mic, heard, underruns, waitingMs, sent, received };
  }

  async call(): Promise<void> {
    if (this.#visit !== null) return;
    const voice: Voice = new Voice({
      onFrame: (pcm) => visit.line?.sendFrame(pcm),
      onMarks: (ids) => this.#heard(visit, ids),
      onMicLost: () => this.#micLost(visit),
    });
    const visit: Visit = { voice, line: null, captions: new Map() };
    this.#visit = visit;
    Object.assign(this, { problem: "", said: [], muted: false, startedAt: null, talkedMs: null, marksPlayed: 0 });
    this.#enter("preparing", "caller.allow_microphone");
    try {
      await voice.openMicrophone();
      if (!this.#isCurrent(visit)) return;
      this.#enter("connecting", "caller.calling");
      const pass = await take(api.POST("/api/v1/browser-call"));
      if (!this.#isCurrent(visit)) return;
      visit.line = new Line(pass, {
        onStarted: () => this.#started(),
        onAudio: (pcm) => voice.play(pcm),
        onMark: (id) => voice.mark(id),
        onClear: () => voice.clear(),
        onCaption: (caption) => this.#caption(visit, caption),
        onEnded: (how) => this.#ended(visit, how),
      });
    } catch (error) {
      const known = error instanceof MicrophoneError || error instanceof ApiError;
      if (!known) console.error(error);
      this.#finish(visit, "caller.not_started", known ? error.message : t("caller.reload"));
    }
  }

  hangUp(): void {
    const visit = this.#visit;
    if (visit === null) return;
    visit.line?.stop();
    this.#finish(visit, this.startedAt === null ? "caller.cancelled" : "caller.hung_up", "");
  }

  press(digit: string): void {
    if (this.phase !== "live") return;
    this.#visit?.line?.send({ type: "dtmf", digit });
    this.said = withEvent(this.said, digit === "0" ? "caller.pressed_zero" : "call.you_pressed", { digit });
    if (digit === "0" && !this.withPerson) this.status = "caller.asked";
  }

  toggleMute(): void {
    this.muted = !this.muted;
    this.#visit?.voice.setMuted(this.muted);
  }

  /** The page is seen again, or goes away. */
  seen(): void {
    if (this.#visit === null) return;
    void this.#visit.voice.resume();
    if (this.startedAt !== null) void this.#keepAwake();
  }

  left(): void {
    this.#visit?.line?.stop();
  }

  #isCurrent(visit: Visit): boolean {
    return this.#visit === visit;
  }

  #enter(phase: Phase, status: MessageKey): void {
    this.phase = phase;
    this.status = status;
  }

  #heard(visit: Visit, ids: number[]): void {
    this.marksPlayed += ids.length;
    for (const id of ids) visit.line?.send({ type: "mark", id });
  }

  #started(): void {
    this.startedAt = Date.now();
    this.#enter("live", "caller.connected");
    void this.#keepAwake();
  }

  #caption(visit: Visit, { who, text, final }: Caption): void {
    // An empty line says only whose turn it is: so a person is announced before their first words are recognised.
    if (text !== "") {
      const n = visit.captions.get(who) ?? 0;
      const said = { kind: "said", key: `${who}-${n}`, who, text, isFinal: final, confidence: 1, atMs: null } as const;
      this.said = withSaid(this.said, said);
      if (final) visit.captions.set(who, n + 1);
    }
    if (who === "caller" || (who === "agent") === this.withPerson) return;
    this.withPerson = who === "agent";
    visit.voice.setLive(this.withPerson);
    this.status = this.withPerson ? "caller.with_person" : "caller.with_assistant";
  }

  #micLost(visit: Visit): void {
    if (!this.#isCurrent(visit)) return;
    this.problem = t("caller.mic_lost");
    visit.voice.openMicrophone().then(
      () => (this.problem = ""),
      (error: unknown) => (this.problem = `${error instanceof Error ? error.message : ""} ${t("caller.still_hear")}`),
    );
  }

  #ended(visit: Visit, { kind, reason, code }: Ending): void {
    if (kind === "local") return;
    if (reason === "busy" || code === 1013) return this.#finish(visit, "caller.busy", t("error.busy"));
    if (reason === "unauthorized") return this.#finish(visit, "caller.not_started", t("caller.too_long"));
    const [status, problem] = PROBLEMS[kind] ?? ["caller.ended", null];
    this.#finish(visit, status, problem === null ? "" : t(problem), kind === "ended");
  }

  /** `hearOut`: words still on their way to the ear are not cut off. */
  #finish(visit: Visit, status: MessageKey, problem: string, hearOut = false): void {
    if (!this.#isCurrent(visit)) return;
    this.#visit = null;
    visit.line?.stop();
    void (hearOut ? visit.voice.finish() : visit.voice.close());
    void this.#wakeLock?.release().catch(() => undefined);
    this.#wakeLock = null;
    this.withPerson = false;
    this.talkedMs = this.startedAt === null ? null : Date.now() - this.startedAt;
    this.startedAt = null;
    this.problem = problem;
    this.#enter("ended", status);
  }

  /** A phone's screen going dark would end the microphone on some systems. */
  async #keepAwake(): Promise<void> {
    try {
      this.#wakeLock = await navigator.wakeLock.request("screen");
      if (this.#visit === null) await this.#wakeLock.release();
    } catch {
      this.#wakeLock = null;
    }
  }
}

const SILENCE = { mic: 0, heard: 0, underruns: 0, waitingMs: 0 };

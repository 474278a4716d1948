// The desk of the signed-in agent: joins the model with its connection, sound and ring. It lives as long as the tab, so
// that a call goes on while the agent looks something up on another page.

import { api, take, ApiError } from "../api/client";
import type { AgentState, ConsultMode, FromAgent, ToAgent } from "../api/types";
import { Voice } from "../audio/voice";
import { type MessageKey, t, translated, word } from "../i18n/i18n.svelte";
import { onTick } from "../lib/ticker";
import { toasts } from "../ui/toasts.svelte";
import { type Desk, type Effect, type HeldOffer, NEW_DESK, lost, noted, phaseOf, receive, replaced } from "./model";
import { LineWatch } from "./line";
import { DeskMicrophone } from "./microphone.svelte";
import { EchoTest } from "./echotest.svelte";
import { Ring } from "./ring";
import { settings } from "./settings.svelte";
import { DeskSocket } from "./socket";

class DeskStore {
  desk = $state.raw<Desk>(NEW_DESK);
  muted = $state(false);
  /** The browser lets no sound out before a click. */
  blocked = $state(false);
  /** Whether the desk was opened in this tab. */
  open = $state(false);
  /** A request about the current offer is on its way. */
  answering = $state(false);
  /** Offers ring at the agent's telephone, by a wish of this tab's. */
  atTelephone = $state(false);
  /** A sentence that a screen reader is to say at once. */
  alert = $state("");
  /** Milliseconds a message takes there and back; null while unknown. */
  roundTripMs = $state<number | null>(null);
  headline = $state<string | null>(null);
  /** What is wrong with the line during a call, the worst first. */
  troubles = $state.raw<readonly MessageKey[]>([]);

  readonly phase = $derived(phaseOf(this.desk));

  readonly voice: Voice = new Voice({
    onFrame: (pcm) => this.#speaks && this.#socket.sendFrame(pcm),
    onMicLost: () => void this.microphone.lost(),
    onBlocked: (blocked) => (this.blocked = blocked),
  });
  readonly microphone = new DeskMicrophone(this.voice, () => this.phase);
  readonly echo = new EchoTest(this.voice, () => this.phase);
  readonly #ring = new Ring(this.voice);
  readonly #watch = new LineWatch();
  readonly #socket = new DeskSocket({
    onMessage: (message) => this.#receive(message),
    onAudio: (pcm) => this.#hears && this.voice.play(pcm),
    onUp: () => this.#wentUp(),
    onDown: (how) => void this.#wentDown(how),
  });
  /** What the agent last chose here; restored when the connection comes back. */
  #wish: AgentState | null = null;
  #answersByItself = false;
  #restoreWish = false;
  /** What a supervisor asked for while there was no connection. */
  #request: FromAgent | null = null;
  /** A note written while the connection was down; the server takes it later too. */
  #unsent: FromAgent | null = null;

  /** Whether what this microphone hears goes to somebody. */
  get #speaks(): boolean {
    const { call, supervising } = this.desk;
    return call !== null || (supervising !== null && supervising.mode !== "listen");
  }

  /** Whether what comes is to be heard. */
  get #hears(): boolean {
    return this.desk.call === null ? this.desk.supervising !== null : !this.desk.call.hold;
  }

  /** Frames sent and received, and tries to connect, for what the page says about the line. */
  get line(): { sent: number; received: number; dropped: number; tries: number } {
    return { ...this.#socket.frames, tries: this.#socket.tries };
  }

  /** Connects, once in the life of the tab. */
  start(): void {
    if (this.open) return;
    this.open = true;
    this.voice.outputId = settings.speaker;
    this.voice.setLive(true);
    this.#socket.start();
    onTick(() => {
      this.roundTripMs = this.#socket.roundTripMs;
      this.headline = this.#ring.headline;
      this.#watchLine();
    });
    window.addEventListener("beforeunload", (event) => {
      if (this.desk.call !== null) event.preventDefault();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") void this.voice.resume();
    });
  }

  #watchLine(): void {
    const { call, link } = this.desk;
    if (call === null || link !== "up") {
      this.#watch.forget();
      this.troubles = [];
      return;
    }
    const { mic, underruns } = this.voice.stats;
    const heard = this.voice.listening && !this.muted && !call.hold;
    const { dropped } = this.#socket.frames;
    const { roundTripMs } = this.#socket;
    this.troubles = this.#watch.look({ at: Date.now(), dropped, underruns, roundTripMs, mic: heard ? mic : null });
  }

  // What the agent does

  /** `code`: the name of a break. */
  async choose(state: AgentState, code: string | null = null): Promise<void> {
    // Asked before the first call comes, not while a caller waits.
    if (state === "available" && !(await this.microphone.tryOut())) return;
    this.#wish = state;
    this.#socket.send({ type: "set_state", state, code });
  }

  /** Agrees that offers are answered by themselves where the queue does that, or no longer. */
  answerByItself(on: boolean): void {
    this.#answersByItself = on;
    this.#socket.send({ type: "auto_answer", on });
  }

  accept(): void {
    this.#answer((offer_id) => ({ type: "accept", offer_id }));
  }

  reject(): void {
    this.#answer((offer_id) => ({ type: "reject", offer_id, reason: null }));
  }

  toggleMute(): void {
    this.muted = !this.muted;
    this.#applyMute();
  }

  toggleHold(): void {
    const { call } = this.desk;
    if (call !== null) this.#socket.send({ type: "hold", on: !call.hold });
  }

  dtmf(digit: string): void {
    if (this.#socket.send({ type: "dtmf", digit })) this.desk = noted(this.desk, "call.you_pressed", { digit });
  }

  /** Gives the caller back to the assistant. */
  handBack(): void {
    this.#socket.send({ type: "hand_back" });
  }

  /** Gives the caller to a queue, a colleague or a telephone outside. */
  transfer(target: { queue: string } | { agent_id: string } | { outside: string }): void {
    this.#socket.send({ type: "transfer", ...target });
  }

  /** Asks who is there. */
  lookForColleagues(): void {
    this.#socket.send({ type: "colleagues" });
  }

  /** Asks a colleague, or whoever of a queue, while the caller hears music. */
  consult(target: { queue: string } | { agent_id: string }): void {
    this.#socket.send({ type: "consult", ...target });
  }

  /** Who hears whom from now on. */
  setConsultMode(mode: ConsultMode): void {
    this.#socket.send({ type: "consult_mode", mode });
  }

  /** Gives the caller to the colleague. */
  complete(): void {
    this.#socket.send({ type: "complete" });
  }

  cancelConsult(): void {
    this.#socket.send({ type: "cancel_consult" });
  }

  /** Sets the caller aside for colleagues to pick up. */
  park(): void {
    this.#socket.send({ type: "park" });
  }

  pickUp(call_id: string): void {
    this.#socket.send({ type: "pick_up", call_id });
  }

  end(): void {
    this.#socket.send({ type: "end" });
  }

  acknowledge(): void {
    this.#socket.send({ type: "acknowledge_missed" });
  }

  /** Asks for more time to write the note; the server gives it once. */
  extendWrapUp(): void {
    this.#socket.send({ type: "extend_wrap_up" });
  }

  /** Sends the note, now or as soon as there is a connection; says whether now. */
  wrapUp(call_id: string, note: string, disposition: string): boolean {
    this.#unsent = { type: "wrap_up", call_id, note, disposition };
    return this.#flush();
  }

  /** What a supervisor does about a call; connects first where there is no connection yet. */
  supervise(message: FromAgent): void {
    // Asked for by a click, which lets sound out.
    void this.voice.open().catch(() => undefined);
    this.start();
    if (!this.#socket.send(message)) this.#request = message;
  }

  /** Lets the agent hear what a call sounds like when it comes in. */
  async hearRing(): Promise<void> {
    await this.voice.open().catch(() => undefined);
    this.#ring.start(1, "Warmline", "");
    setTimeout(() => this.desk.offer === null && this.#ring.stop(), 1_500);
  }

  #answer(message: (offerId: string) => FromAgent): void {
    const { offer } = this.desk;
    if (offer !== null && !this.answering) this.answering = this.#socket.send(message(offer.offer.offer_id));
  }

  // The connection

  #wentUp(): void {
    this.#restoreWish = this.#wish !== null;
    this.#flush();
    if (this.#request !== null) this.#socket.send(this.#request);
    this.#request = null;
  }

  #flush(): boolean {
    if (this.#unsent !== null && this.#socket.send(this.#unsent)) this.#unsent = null;
    return this.#unsent === null;
  }

  async #wentDown({ wasReady, replaced: isReplaced }: { wasReady: boolean; replaced: boolean }): Promise<void> {
    this.desk = lost(this.desk, Date.now());
    this.#quiet();
    this.voice.clear();
    if (this.desk.call === null) this.microphone.release();
    if (isReplaced) this.desk = replaced(this.desk);
    else if (!wasReady) await checkSession();
  }

  #receive(message: ToAgent): void {
    const { desk, effects } = receive(this.desk, message, Date.now());
    this.desk = desk;
    for (const effect of effects) this.#perform(effect);
    // The page is the same, and so is who sits before it.
    if (message.type === "hello" && desk.autoAnswer !== null && this.#answersByItself) this.answerByItself(true);
    if (message.type === "state" && this.#restoreWish) this.#restore();
    if (message.type === "offer_ended" && message.result === "accepted") void this.microphone.warmUp();
  }

  #restore(): void {
    this.#restoreWish = false;
    const wish = this.#wish;
    if (this.desk.state === "offline" && wish !== null && wish !== "offline") {
      this.#socket.send({ type: "set_state", state: wish });
    }
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case "ring":
        this.#ringFor(effect.held);
        break;
      case "quiet":
        this.#quiet();
        break;
      case "talk":
        this.#applyMute();
        void this.microphone.talk().then(() => this.#applyMute());
        break;
      case "silence":
        this.voice.clear();
        this.microphone.release();
        break;
      case "hold":
        this.voice.clear();
        this.#applyMute();
        break;
      case "supervise":
        if (effect.speaks) void this.microphone.talk();
        else this.microphone.release();
        break;
      case "tell":
        toasts.tell(t(effect.says));
        break;
      case "refused":
        this.answering = false;
        toasts.tell(translated(`error.${effect.code}`) ?? effect.message, "bad");
        break;
      case "ended":
        this.muted = false;
        this.#applyMute();
        break;
    }
  }

  #ringFor({ offer }: HeldOffer): void {
    const title = word("reason", offer.reason);
    const headline = t("offer.headline", { title });
    this.answering = false;
    this.alert = `${headline} ${offer.summary.join(" ")}`;
    toasts.clear();
    this.#ring.start(settings.ring ? offer.expires_in_ms / 1_000 : 0, headline, offer.summary.join("\n"));
    void this.microphone.warmUp().then(() => this.#applyMute());
  }

  #quiet(): void {
    this.#ring.stop();
    this.alert = "";
    this.answering = false;
  }

  /** On hold nothing of the agent's room leaves this page. */
  #applyMute(): void {
    this.voice.setMuted(this.muted || this.desk.call?.hold === true);
  }
}

/** A socket that never says hello may mean that nobody is signed in any more. */
async function checkSession(): Promise<void> {
  try {
    await take(api.GET("/api/v1/session"));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) location.reload();
  }
}

export const deskStore = new DeskStore();

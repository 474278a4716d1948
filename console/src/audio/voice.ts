// Microphone and loudspeaker of one page, as 20 ms frames of 16 kHz PCM.

import { t } from "../i18n/i18n.svelte";
import captureUrl from "./capture.worklet?worker&url";
import type { CaptureOrder, Captured, PlaybackOrder, PlaybackReport } from "./messages";
import { MicrophoneError, askForMicrophone, insecure } from "./microphone";
import playbackUrl from "./playback.worklet?worker&url";

export interface VoiceHandlers {
  /** One frame from the microphone. */
  onFrame?: (pcm: ArrayBuffer) => void;
  /** Marks that were heard. */
  onMarks?: (ids: number[]) => void;
  /** The microphone was unplugged. */
  onMicLost?: () => void;
  /** Whether the browser waits for a click before it lets sound out. */
  onBlocked?: (blocked: boolean) => void;
}

/** The newest AudioContext methods, which not every browser has. */
type Context = AudioContext & { setSinkId?: (id: string) => Promise<void> };

interface Capture {
  node: AudioWorkletNode;
  source: MediaStreamAudioSourceNode;
  stream: MediaStream;
}

/** One page's sound: opened by a click, closed when nothing needs it. */
export class Voice {
  context: Context | null = null;
  outputId = "";
  /** Sees each frame of the microphone, muted or not to be sent; for tests of the device. */
  tap: ((pcm: ArrayBuffer) => void) | null = null;
  readonly stats = { mic: 0, heard: 0, waitingMs: 0, underruns: 0 };

  #playback: AudioWorkletNode | null = null;
  #capture: Capture | null = null;
  #muted = false;
  #live = false;
  #latency = 0;
  #opening: Promise<void> | null = null;
  #microphoneOpening: Promise<void> | null = null;
  /** Counts closings: an answer to an older question is thrown away. */
  #microphoneWanted = 0;

  constructor(private readonly handlers: VoiceHandlers = {}) {}

  /** Whether the browser lets sound out. False until the page was clicked once. */
  get audible(): boolean {
    return this.context?.state === "running";
  }

  /** Whether the microphone is open. */
  get listening(): boolean {
    return this.#capture !== null;
  }

  /** Opens the loudspeaker side. Safe to call again. */
  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #open(): Promise<void> {
    if (!("AudioWorkletNode" in window)) throw new MicrophoneError(insecure() ?? t("microphone.old_browser"));
    const context: Context = new AudioContext({ latencyHint: "interactive" });
    try {
      await Promise.all([captureUrl, playbackUrl].map((url) => context.audioWorklet.addModule(url)));
    } catch (error) {
      await context.close();
      throw error;
    }
    this.context = context;
    const playback = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    playback.port.onmessage = ({ data }: MessageEvent<PlaybackReport>) => this.#fromPlayback(data);
    playback.connect(context.destination);
    this.#playback = playback;
    this.setLive(this.#live);
    context.onstatechange = () => {
      // A telephone call on the same device interrupts the sound; it comes back here.
      if (context.state !== "running" && context.state !== "closed") void this.resume();
    };
    if (this.outputId !== "") await this.setOutput(this.outputId);
    await this.resume();
  }

  /** Tries to let sound out; `onBlocked` hears whether a click is still needed. */
  async resume(): Promise<void> {
    if (this.context === null || this.context.state === "closed") return;
    const tried = this.context.resume().catch(() => undefined);
    await Promise.race([tried, new Promise((done) => setTimeout(done, 400))]);
    this.handlers.onBlocked?.(!this.audible);
  }

  /** Opens the microphone; asks the person the first time. Throws MicrophoneError. */
  async openMicrophone(deviceId = ""): Promise<void> {
    // One question at a time; the second waits for the first and finds the microphone open.
    while (this.#microphoneOpening !== null) await this.#microphoneOpening.catch(() => undefined);
    this.#microphoneOpening = this.#openMicrophone(deviceId).finally(() => {
      this.#microphoneOpening = null;
    });
    return this.#microphoneOpening;
  }

  async #openMicrophone(deviceId: string): Promise<void> {
    if (this.#capture !== null) return;
    const wanted = this.#microphoneWanted;
    const stream = await askForMicrophone(deviceId);
    try {
      await this.open();
      if (this.context === null || wanted !== this.#microphoneWanted) {
        throw new MicrophoneError(t("microphone.no_longer_needed"));
      }
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
    const source = this.context.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 1, outputChannelCount: [1] });
    const capture = { node, source, stream };
    this.#capture = capture;
    order(node, { type: "mute", on: this.#muted });
    node.port.onmessage = ({ data }: MessageEvent<Captured>) => {
      if (this.#capture !== capture) return;
      this.stats.mic = data.level;
      this.tap?.(data.pcm);
      this.handlers.onFrame?.(data.pcm);
    };
    // Its output stays silent; the connection only makes every browser run it.
    source.connect(node).connect(this.context.destination);
    stream.getAudioTracks()[0]?.addEventListener("ended", () => {
      if (this.#capture !== capture) return;
      this.closeMicrophone();
      this.handlers.onMicLost?.();
    });
    await this.resume();
  }

  /** Goes on with another microphone, if one is open. */
  async changeMicrophone(deviceId: string): Promise<void> {
    if (!this.listening) return;
    this.closeMicrophone();
    await this.openMicrophone(deviceId);
  }

  /** Lets the microphone go; the browser's recording sign goes out. */
  closeMicrophone(): void {
    this.#microphoneWanted += 1;
    this.stats.mic = 0;
    if (this.#capture === null) return;
    const { node, source, stream } = this.#capture;
    this.#capture = null;
    for (const track of stream.getTracks()) track.stop();
    source.disconnect();
    node.disconnect();
    order(node, { type: "stop" });
  }

  /** Frames become silence while on. */
  setMuted(on: boolean): void {
    this.#muted = on;
    if (this.#capture !== null) order(this.#capture.node, { type: "mute", on });
  }

  /** Plays to another device where the browser can. */
  async setOutput(deviceId: string): Promise<void> {
    this.outputId = deviceId;
    await this.context?.setSinkId?.(deviceId).catch(() => undefined);
  }

  /** Queues one frame of PCM. */
  play(pcm: ArrayBuffer): void {
    this.#play({ type: "audio", pcm }, [pcm]);
  }

  /** Asks to be told when everything queued so far was heard. */
  mark(id: number): void {
    if (this.#playback === null) this.handlers.onMarks?.([id]);
    else this.#play({ type: "mark", id });
  }

  /** Says whether what comes is a person's live voice: then no delay is left to build up. */
  setLive(on: boolean): void {
    this.#live = on;
    this.#play({ type: "live", on });
  }

  /** Throws away what is queued; its marks come back at once. */
  clear(): void {
    this.#play({ type: "clear" });
  }

  /** Lets the microphone go at once, and the loudspeaker when the last words were heard (two seconds at most). */
  async finish(): Promise<void> {
    this.closeMicrophone();
    const rest = Math.min(2_000, this.stats.waitingMs);
    if (rest > 0) await new Promise((done) => setTimeout(done, rest + 150));
    await this.close();
  }

  /** Closes everything. */
  async close(): Promise<void> {
    this.closeMicrophone();
    this.#play({ type: "stop" });
    const context = this.context;
    this.context = null;
    this.#playback = null;
    this.#opening = null;
    this.stats.heard = 0;
    if (context !== null) {
      context.onstatechange = null;
      await context.close().catch(() => undefined);
    }
  }

  #play(message: PlaybackOrder, moved: Transferable[] = []): void {
    this.#playback?.port.postMessage(message, moved);
  }

  #fromPlayback(message: PlaybackReport): void {
    if (this.context === null) return; // said while closing
    if (message.type === "marks") {
      this.handlers.onMarks?.(message.ids);
      return;
    }
    this.stats.heard = message.level;
    this.stats.waitingMs = message.waiting_ms;
    this.stats.underruns = message.underruns;
    const seconds = this.context.outputLatency || this.context.baseLatency || 0;
    if (Math.abs(seconds - this.#latency) > 0.002) {
      this.#latency = seconds;
      this.#play({ type: "latency", seconds });
    }
  }
}

function order(node: AudioWorkletNode, message: CaptureOrder): void {
  node.port.postMessage(message);
}

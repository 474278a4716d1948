// Whether callers hear themselves: bursts out of the loudspeaker, and how much of them the microphone hears.

import { type Echo, FRAMES, PLAYED, bursts, echoOf, levelOf } from "../audio/echo";
import { MicrophoneError } from "../audio/microphone";
import type { Voice } from "../audio/voice";
import { t } from "../i18n/i18n.svelte";
import { toasts } from "../ui/toasts.svelte";
import type { Phase } from "./model";
import { settings } from "./settings.svelte";

/** A microphone that gives no frames is waited for no longer. */
const PATIENCE_MS = 8_000;
/** Before the first burst: what was begun at once would be cut. */
const LEAD_S = 0.2;

export class EchoTest {
  running = $state(false);
  /** Of the last test. */
  found = $state.raw<Echo | null>(null);

  constructor(
    private readonly voice: Voice,
    private readonly phase: () => Phase,
  ) {}

  /** Plays, listens and says what was found. Opens the microphone if it is not, and leaves it as it was, unless a call came meanwhile. */
  async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    this.found = null;
    const wasOpen = this.voice.listening;
    try {
      await this.voice.openMicrophone(settings.microphone);
      const levels = await this.#listen();
      this.found = levels === null ? null : echoOf(levels);
      if (this.found === null) toasts.tell(t("echo.no_sound"), "bad");
    } catch (error) {
      toasts.tell(error instanceof MicrophoneError ? error.message : t("microphone.unexpected"), "bad");
    } finally {
      this.voice.tap = null;
      if (!wasOpen && this.phase() === "idle") this.voice.closeMicrophone();
      this.running = false;
    }
  }

  /** Levels of the microphone from the first burst on; null if there were none in time. */
  #listen(): Promise<number[] | null> {
    const { context } = this.voice;
    if (context === null || !this.voice.audible) return Promise.resolve(null);
    const begins = context.currentTime + LEAD_S;
    const stop = play(context, begins);
    return new Promise((resolve) => {
      const levels: number[] = [];
      const done = (found: number[] | null): void => {
        clearTimeout(timer);
        stop();
        resolve(found);
      };
      const timer = setTimeout(() => done(null), PATIENCE_MS);
      this.voice.tap = (pcm) => {
        if (context.currentTime < begins) return;
        levels.push(levelOf(pcm));
        if (levels.length === FRAMES) done(levels);
      };
    });
  }
}

/** Hissing bursts in the range of voices, which no filter for hum or for single tones takes away. */
function play(context: AudioContext, begins: number): () => void {
  const noise = context.createBuffer(1, context.sampleRate, context.sampleRate);
  noise.getChannelData(0).forEach((_, i, samples) => (samples[i] = 2 * Math.random() - 1));
  const source = new AudioBufferSourceNode(context, { buffer: noise, loop: true });
  const filter = new BiquadFilterNode(context, { type: "bandpass", frequency: 1_000, Q: 0.7 });
  const gain = new GainNode(context, { gain: 0 });
  // White noise between -1 and 1 has a root mean square of 0.58; the filter leaves a quarter of it.
  const loud = PLAYED / (0.58 / 4);
  for (const { from, to } of bursts()) {
    gain.gain.setTargetAtTime(loud, begins + from, 0.004);
    gain.gain.setTargetAtTime(0, begins + to - 0.01, 0.004);
  }
  source.connect(filter).connect(gain).connect(context.destination);
  source.start();
  return () => {
    source.stop();
    gain.disconnect();
  };
}

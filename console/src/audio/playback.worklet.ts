// 16 kHz mono signed 16-bit frames → loudspeaker, through the jitter buffer. Says when marks were really heard.

import { JitterBuffer } from "./jitter";
import type { PlaybackOrder, PlaybackReport } from "./messages";
import { Resampler } from "./resampler";

const RATE = 16_000;
const REPORT_EVERY = 0.04; // seconds

class Playback extends AudioWorkletProcessor {
  readonly #jitter = new JitterBuffer({ rate: RATE });
  readonly #resampler = new Resampler(RATE, sampleRate);
  #pulled = new Float32Array(1024);
  #latency = 0; // frames between this processor and the ear
  #due: { id: number; frame: number }[] = []; // marks passed here, not yet heard
  #energy = 0;
  #counted = 0;
  #open = true;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<PlaybackOrder>) => this.#handle(data);
  }

  #report(report: PlaybackReport): void {
    this.port.postMessage(report);
  }

  #handle(message: PlaybackOrder): void {
    switch (message.type) {
      case "audio":
        this.#jitter.push(toFloat(message.pcm));
        break;
      case "mark":
        this.#jitter.mark(message.id);
        break;
      case "clear": {
        const ids = [...this.#due.map((mark) => mark.id), ...this.#jitter.clear()];
        this.#due = [];
        if (ids.length > 0) this.#report({ type: "marks", ids });
        break;
      }
      case "live":
        this.#jitter.live = message.on;
        break;
      case "latency":
        this.#latency = Math.round(message.seconds * sampleRate);
        break;
      case "stop":
        this.#open = false;
        break;
    }
  }

  process(_inputs: Float32Array[][], [channels]: Float32Array[][]): boolean {
    const [output, ...others] = channels ?? [];
    if (output === undefined) return this.#open;
    const needed = this.#resampler.needed(output.length);
    if (needed > this.#pulled.length) this.#pulled = new Float32Array(needed);
    const input = this.#pulled.subarray(0, needed);
    this.#jitter.pull(input);
    this.#resampler.write(input);
    this.#resampler.read(output);
    for (const other of others) other.set(output);
    for (const id of this.#jitter.takeReached()) {
      this.#due.push({ id, frame: currentFrame + output.length + this.#latency });
    }
    this.#reportMarks();
    this.#reportLevel(output);
    return this.#open;
  }

  #reportMarks(): void {
    if (this.#due.length === 0) return;
    const ids = this.#due.filter((mark) => mark.frame <= currentFrame).map((mark) => mark.id);
    if (ids.length === 0) return;
    this.#due = this.#due.filter((mark) => mark.frame > currentFrame);
    this.#report({ type: "marks", ids });
  }

  #reportLevel(output: Float32Array): void {
    for (const sample of output) this.#energy += sample * sample;
    this.#counted += output.length;
    if (this.#counted < REPORT_EVERY * sampleRate) return;
    this.#report({
      type: "level",
      level: Math.sqrt(this.#energy / this.#counted),
      waiting_ms: Math.round((this.#jitter.depth * 1000) / RATE),
      underruns: this.#jitter.underruns,
    });
    this.#energy = 0;
    this.#counted = 0;
  }
}

function toFloat(pcm: ArrayBuffer): Float32Array {
  return Float32Array.from(new Int16Array(pcm, 0, pcm.byteLength >> 1), (sample) => sample / 32_768);
}

registerProcessor("playback", Playback);

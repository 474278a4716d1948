// Microphone → 16 kHz mono signed 16-bit frames of 20 ms, with their level.

import type { CaptureOrder, Captured } from "./messages";
import { Resampler } from "./resampler";

const RATE = 16_000;
const FRAME = 320;

class Capture extends AudioWorkletProcessor {
  readonly #resampler = new Resampler(sampleRate, RATE);
  readonly #scratch = new Float32Array(FRAME);
  #mono = new Float32Array(128);
  #frame = new Int16Array(FRAME);
  #filled = 0;
  #energy = 0;
  #muted = false;
  #open = true;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<CaptureOrder>) => {
      if (data.type === "mute") this.#muted = data.on;
      else this.#open = false;
    };
  }

  process([channels]: Float32Array[][]): boolean {
    if (!this.#open) return false;
    const quantum = channels?.[0]?.length ?? 128;
    if (this.#mono.length !== quantum) this.#mono = new Float32Array(quantum);
    // No channels: the device is gone or not there yet. Silence keeps the stream's clock going.
    this.#mono.fill(0);
    for (const channel of channels ?? []) {
      const share = 1 / (channels?.length ?? 1);
      for (let i = 0; i < quantum; i++) this.#mono[i] = (this.#mono[i] as number) + (channel[i] ?? 0) * share;
    }
    this.#resampler.write(this.#mono);
    for (let read = 1; read > 0; ) {
      read = this.#resampler.read(this.#scratch.subarray(0, FRAME - this.#filled));
      for (const sample of this.#scratch.subarray(0, read)) this.#add(sample);
    }
    return true;
  }

  #add(sample: number): void {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.#energy += clipped * clipped;
    // A muted agent's frames are still sent, as silence: the other side needs no special case for a gap.
    this.#frame[this.#filled++] = this.#muted ? 0 : Math.round(clipped * (clipped < 0 ? 32_768 : 32_767));
    if (this.#filled < FRAME) return;
    const captured: Captured = { pcm: this.#frame.buffer, level: Math.sqrt(this.#energy / FRAME) };
    this.port.postMessage(captured, [captured.pcm]);
    this.#frame = new Int16Array(FRAME);
    this.#filled = 0;
    this.#energy = 0;
  }
}

registerProcessor("capture", Capture);

// Microphone → 16 kHz mono signed 16-bit frames of 20 ms, with their level.

import { Resampler } from "./resampler.js";

const RATE = 16_000;
const FRAME = 320;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.mono = new Float32Array(128);
    this.scratch = new Float32Array(FRAME);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.energy = 0;
    this.muted = false;
    this.open = true;
    this.port.onmessage = ({ data }) => {
      if (data.type === "mute") this.muted = data.on;
      if (data.type === "stop") this.open = false;
    };
  }

  process([channels]) {
    if (!this.open) return false;
    const quantum = channels?.[0]?.length ?? 128;
    if (this.mono.length !== quantum) this.mono = new Float32Array(quantum);
    // No channels: the device is gone or not there yet. Silence keeps the stream's clock going.
    this.mono.fill(0);
    const count = channels?.length ?? 0;
    for (let channel = 0; channel < count; channel++) {
      for (let i = 0; i < quantum; i++) this.mono[i] += channels[channel][i] / count;
    }
    this.resampler.write(this.mono);
    for (let read = 1; read > 0; ) {
      read = this.resampler.read(this.scratch.subarray(0, FRAME - this.filled));
      for (let i = 0; i < read; i++) this.add(this.scratch[i]);
    }
    return true;
  }

  add(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.energy += clipped * clipped;
    // A muted agent's frames are still sent, as silence: the other side needs no special case for a gap.
    this.frame[this.filled++] = this.muted ? 0 : Math.round(clipped * (clipped < 0 ? 32_768 : 32_767));
    if (this.filled < FRAME) return;
    const pcm = this.frame.buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.energy / FRAME) }, [pcm]);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.energy = 0;
  }
}

registerProcessor("capture", Capture);

// 16 kHz mono signed 16-bit frames → loudspeaker, through the jitter buffer. Says when marks were really heard.

import { JitterBuffer } from "./jitter.js";
import { Resampler } from "./resampler.js";

const RATE = 16_000;
const REPORT_EVERY = 0.04; // seconds

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.jitter = new JitterBuffer({ rate: RATE });
    this.resampler = new Resampler(RATE, sampleRate);
    this.pulled = new Float32Array(1024);
    this.latency = 0; // frames between this processor and the ear
    this.due = []; // {id, frame}: marks passed here, not yet heard
    this.energy = 0;
    this.counted = 0;
    this.open = true;
    this.port.onmessage = ({ data }) => this.handle(data);
  }

  handle(message) {
    switch (message.type) {
      case "audio":
        this.jitter.push(toFloat(message.pcm));
        break;
      case "mark":
        this.jitter.mark(message.id);
        break;
      case "clear": {
        const ids = [...this.due.map((mark) => mark.id), ...this.jitter.clear()];
        this.due = [];
        if (ids.length > 0) this.port.postMessage({ type: "marks", ids });
        break;
      }
      case "live":
        this.jitter.live = message.on;
        break;
      case "latency":
        this.latency = Math.round(message.seconds * sampleRate);
        break;
      case "stop":
        this.open = false;
        break;
    }
  }

  process(_inputs, [channels]) {
    const output = channels[0];
    const needed = this.resampler.needed(output.length);
    if (needed > this.pulled.length) this.pulled = new Float32Array(needed);
    const input = this.pulled.subarray(0, needed);
    this.jitter.pull(input);
    this.resampler.write(input);
    this.resampler.read(output);
    for (let channel = 1; channel < channels.length; channel++) channels[channel].set(output);
    for (const id of this.jitter.takeReached()) {
      this.due.push({ id, frame: currentFrame + output.length + this.latency });
    }
    this.reportMarks();
    this.reportLevel(output);
    return this.open;
  }

  reportMarks() {
    let heard = 0;
    while (heard < this.due.length && this.due[heard].frame <= currentFrame) heard += 1;
    if (heard === 0) return;
    const ids = this.due.splice(0, heard).map((mark) => mark.id);
    this.port.postMessage({ type: "marks", ids });
  }

  reportLevel(output) {
    for (let i = 0; i < output.length; i++) this.energy += output[i] * output[i];
    this.counted += output.length;
    if (this.counted < REPORT_EVERY * sampleRate) return;
    this.port.postMessage({
      type: "level",
      level: Math.sqrt(this.energy / this.counted),
      waiting_ms: Math.round((this.jitter.depth * 1000) / RATE),
      underruns: this.jitter.underruns,
    });
    this.energy = 0;
    this.counted = 0;
  }
}

function toFloat(pcm) {
  const samples = new Int16Array(pcm, 0, pcm.byteLength >> 1);
  const floats = new Float32Array(samples.length);
  for (let i = 0; i < samples.length; i++) floats[i] = samples[i] / 32_768;
  return floats;
}

registerProcessor("playback", Playback);

// The queue between network and loudspeaker. Pure: time is the number of samples pulled, so node can test it.
//
//   idle ──push──▶ priming ──target reached, or waited that long──▶ playing ──empty──▶ idle
//
// Frames come when the network likes, samples are pulled when the sound card likes. Before a stretch of speech starts,
// `target` milliseconds are gathered. Running dry in the middle raises the target, calm lowers it.
//
// Prepared speech may run ahead by a second or two, that is no delay. But of a person's live voice (`live`) nothing should
// wait: when its frames come in real time and too many are queued all the same (after a stall), one pitch period at a time
// is spliced out until the delay is gone. Nobody hears it, and nothing is lost.

const FADE = 80; // samples; 5 ms at 16 kHz
const RISE = 40;
const SHORTEST_PERIOD = 40; // 400 Hz
const LONGEST_PERIOD = 200; // 80 Hz
const MATCH = 160; // samples compared and cross-faded in a splice

/** What happened in one second of the stream. */
interface Second {
  at: number;
  arrived: number;
  lowest: number;
}

/** A sample whose index is known to be inside. */
const sample = (samples: Float32Array, index: number): number => samples[index] as number;

/** Adaptive jitter buffer over float samples of one rate, with marks at positions in the stream. */
export class JitterBuffer {
  /** Whether what comes is a person's live voice. */
  live = false;
  /** What the network spoilt: times it ran dry, samples taken out to catch up, samples that found no room. */
  underruns = 0;
  spliced = 0;
  dropped = 0;
  /** Samples gathered before a stretch of speech starts. */
  target: number;

  private readonly rate: number;
  private readonly least: number;
  private readonly most: number;
  private readonly limit: number;
  private ring = new Float32Array(1 << 15);
  private readAt = 0; // absolute stream positions, in samples
  private writtenAt = 0;
  private clock = 0; // samples pulled since the beginning
  private marks: { id: number; at: number }[] = []; // in order
  private reached: number[] = [];
  private state: "idle" | "priming" | "playing" = "idle";
  private primedAt = 0;
  private ranDryAt = -Infinity;
  private calmSince = 0;
  private readonly history = new Float32Array(FADE);
  private tail = 0; // samples of the closing fade still to be played
  private rise = 0; // samples of the opening fade still to be played
  private second: Second = { at: 0, arrived: 0, lowest: Infinity };
  private before: Second | null = null;
  private spliceAt = 0;

  /** `rate` in Hz; `least` and `most` target in ms; `limit`: seconds kept before new frames are dropped. */
  constructor({ rate = 16_000, least = 40, most = 120, limit = 60 } = {}) {
    this.rate = rate;
    this.least = this.samples(least);
    this.most = this.samples(most);
    this.limit = limit * rate;
    this.target = this.least;
  }

  private samples(ms: number): number {
    return Math.round((ms * this.rate) / 1000);
  }

  /** Samples waiting. */
  get depth(): number {
    return this.writtenAt - this.readAt;
  }

  /** Takes samples from the network. */
  push(samples: Float32Array): void {
    if (this.depth + samples.length > this.limit) {
      this.dropped += samples.length;
      return;
    }
    this.reserve(samples.length);
    this.second.lowest = Math.min(this.second.lowest, this.depth);
    this.second.arrived += samples.length;
    const mask = this.ring.length - 1;
    for (let i = 0; i < samples.length; i++) this.ring[(this.writtenAt + i) & mask] = sample(samples, i);
    this.writtenAt += samples.length;
    if (this.state === "idle") {
      this.state = "priming";
      this.primedAt = this.clock;
      // Soon after running dry it was a late frame; later it is the next thing said.
      if (this.clock - this.ranDryAt < this.samples(250)) {
        this.underruns += 1;
        this.target = Math.min(this.most, this.target + this.samples(20));
        this.calmSince = this.clock;
      }
    }
  }

  /** Notes a mark behind everything pushed so far. */
  mark(id: number): void {
    if (this.depth === 0) this.reached.push(id);
    else this.marks.push({ id, at: this.writtenAt });
  }

  /** Throws away what waits; returns the marks that were in it or were reached and not yet taken. */
  clear(): number[] {
    const ids = [...this.reached, ...this.marks.map((mark) => mark.id)];
    this.reached = [];
    this.marks = [];
    this.readAt = this.writtenAt;
    if (this.state === "playing") this.tail = FADE;
    this.state = "idle";
    this.ranDryAt = -Infinity;
    return ids;
  }

  /** Marks that were passed since the last time. */
  takeReached(): number[] {
    if (this.reached.length === 0) return [];
    const ids = this.reached;
    this.reached = [];
    return ids;
  }

  /** Fills `output` with the next samples, or with silence without a click. */
  pull(output: Float32Array): void {
    this.turnSecond();
    this.adapt();
    let filled = 0;
    if (this.state === "priming") this.startIfPrimed();
    if (this.state === "playing") {
      this.spliceIfLate();
      filled = Math.min(output.length, this.depth);
      const mask = this.ring.length - 1;
      for (let i = 0; i < filled; i++) output[i] = sample(this.ring, (this.readAt + i) & mask);
      for (let i = 0; i < filled && this.rise > 0; i++, this.rise--) output[i] = sample(output, i) * (1 - this.rise / RISE);
      this.readAt += filled;
      this.remember(output, filled);
      if (filled < output.length) {
        this.state = "idle";
        this.ranDryAt = this.clock + filled;
        this.tail = FADE;
      }
    }
    // The end is mirrored and faded: the wave goes on where it stopped, so nothing clicks.
    for (let i = filled; i < output.length; i++) {
      if (this.tail > 0) {
        output[i] = sample(this.history, this.tail - 1) * (this.tail / FADE) ** 2;
        this.tail -= 1;
      } else {
        output[i] = 0;
      }
    }
    this.clock += output.length;
    const passed = this.marks.findIndex((mark) => mark.at > this.readAt);
    const count = passed === -1 ? this.marks.length : passed;
    if (count > 0) this.reached.push(...this.marks.splice(0, count).map((mark) => mark.id));
  }

  private startIfPrimed(): void {
    const waited = this.clock - this.primedAt;
    if (this.depth < this.target && waited < this.target) return;
    this.state = "playing";
    this.rise = RISE;
    this.tail = 0;
  }

  private remember(output: Float32Array, count: number): void {
    if (count >= FADE) {
      this.history.set(output.subarray(count - FADE, count));
    } else if (count > 0) {
      this.history.copyWithin(0, count);
      this.history.set(output.subarray(0, count), FADE - count);
    }
  }

  /** Ten milliseconds less for each eight seconds without a late frame. */
  private adapt(): void {
    if (this.clock - this.calmSince < 8 * this.rate) return;
    this.calmSince = this.clock;
    this.target = Math.max(this.least, this.target - this.samples(10));
  }

  private turnSecond(): void {
    if (this.clock - this.second.at < this.rate) return;
    this.before = this.second;
    this.second = { at: this.clock, arrived: 0, lowest: this.depth };
  }

  private spliceIfLate(): void {
    if (!this.live) return;
    const excess = this.target + this.samples(40);
    const { before } = this;
    const paced = before !== null && Math.abs(before.arrived - this.rate) < 0.15 * this.rate;
    const late = paced && before.lowest > excess && this.depth > excess;
    if (!late || this.clock < this.spliceAt || this.depth < 2 * LONGEST_PERIOD + MATCH) return;
    this.spliceAt = this.clock + this.samples(60);
    const mask = this.ring.length - 1;
    const at = (offset: number): number => sample(this.ring, (this.readAt + offset) & mask);
    let best = SHORTEST_PERIOD;
    let bestScore = -Infinity;
    for (let lag = SHORTEST_PERIOD; lag <= LONGEST_PERIOD; lag++) {
      let product = 0;
      let energy = 1e-9;
      for (let i = 0; i < MATCH; i += 2) {
        const later = at(lag + i);
        product += at(i) * later;
        energy += later * later;
      }
      const score = product / Math.sqrt(energy);
      if (score > bestScore) [best, bestScore] = [lag, score];
    }
    for (let i = 0; i < MATCH; i++) {
      const share = i / MATCH;
      this.ring[(this.readAt + best + i) & mask] = at(i) * (1 - share) + at(best + i) * share;
    }
    this.readAt += best;
    this.spliced += best;
  }

  /** Makes the ring large enough for `more` samples. */
  private reserve(more: number): void {
    if (this.depth + more <= this.ring.length) return;
    let size = this.ring.length;
    while (size < this.depth + more) size *= 2;
    const grown = new Float32Array(size);
    for (let at = this.readAt; at < this.writtenAt; at++) {
      grown[at & (size - 1)] = sample(this.ring, at & (this.ring.length - 1));
    }
    this.ring = grown;
  }
}

// Streaming sample-rate conversion for one channel. Pure: used inside both AudioWorklets and tested in node.

const PHASES = 256;

/** A sample whose index is known to be inside. */
const at = (samples: Float32Array, index: number): number => samples[index] as number;

/**
 * A windowed-sinc resampler: write input as it comes, read output as it is wanted.
 *
 * Pass band up to 92 % of the lower Nyquist frequency; delay about 1 ms. With equal rates it copies.
 */
export class Resampler {
  readonly #step: number;
  readonly #same: boolean;
  readonly #half: number;
  readonly #table: Float32Array;
  #buffer = new Float32Array(4096);
  #length: number;
  #position: number;

  /** Rates in Hz. `zeros`: zero crossings on each side of the kernel; more is sharper and slower. */
  constructor(from: number, to: number, zeros = 16) {
    this.#step = from / to;
    this.#same = from === to;
    const cutoff = this.#same ? 1 : Math.min(1, to / from) * 0.92;
    this.#half = this.#same ? 0 : Math.ceil(zeros / cutoff);
    this.#table = this.#same ? new Float32Array(0) : kernel(this.#half, cutoff);
    // Half a kernel of silence before the first sample, so that it can be the centre of an output.
    this.#length = this.#same ? 0 : this.#half - 1;
    this.#position = this.#length;
  }

  /** How many input samples must still be written before `count` outputs can be read. */
  needed(count: number): number {
    if (count === 0) return 0;
    if (this.#same) return Math.max(0, count - this.#length);
    const last = this.#position + (count - 1) * this.#step;
    return Math.max(0, Math.floor(last) + this.#half + 1 - this.#length);
  }

  /** Takes input samples. */
  write(input: Float32Array): void {
    if (this.#length + input.length > this.#buffer.length) {
      const grown = new Float32Array(2 * (this.#length + input.length));
      grown.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = grown;
    }
    this.#buffer.set(input, this.#length);
    this.#length += input.length;
  }

  /** Fills `output` from its start as far as the input reaches; returns how many samples it wrote. */
  read(output: Float32Array): number {
    return this.#same ? this.#copy(output) : this.#convert(output);
  }

  #copy(output: Float32Array): number {
    const count = Math.min(output.length, this.#length);
    output.set(this.#buffer.subarray(0, count));
    this.#buffer.copyWithin(0, count, this.#length);
    this.#length -= count;
    return count;
  }

  #convert(output: Float32Array): number {
    const taps = 2 * this.#half;
    let written = 0;
    while (written < output.length) {
      const whole = Math.floor(this.#position);
      if (whole + this.#half >= this.#length) break;
      const phase = (this.#position - whole) * PHASES;
      const row = Math.floor(phase);
      const blend = phase - row;
      const near = row * taps;
      const far = near + taps;
      const first = whole - this.#half + 1;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) {
        const low = at(this.#table, near + tap);
        sum += at(this.#buffer, first + tap) * (low + blend * (at(this.#table, far + tap) - low));
      }
      output[written++] = sum;
      this.#position += this.#step;
    }
    // Forget what no later output can reach.
    const spent = Math.floor(this.#position) - this.#half + 1;
    if (spent > 0) {
      const drop = Math.min(spent, this.#length);
      this.#buffer.copyWithin(0, drop, this.#length);
      this.#length -= drop;
      this.#position -= drop;
    }
    return written;
  }
}

/** Kernel rows for `PHASES + 1` fractional positions; each row sums to one, so that level is kept exactly. */
function kernel(half: number, cutoff: number): Float32Array {
  const taps = 2 * half;
  const table = new Float32Array((PHASES + 1) * taps);
  for (let row = 0; row <= PHASES; row++) {
    const fraction = row / PHASES;
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) {
      const distance = tap - half + 1 - fraction;
      const value = sinc(cutoff * distance) * blackman(distance / half);
      table[row * taps + tap] = value;
      sum += value;
    }
    for (let tap = 0; tap < taps; tap++) table[row * taps + tap] = at(table, row * taps + tap) / sum;
  }
  return table;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Blackman window over −1 to 1. */
function blackman(x: number): number {
  if (Math.abs(x) >= 1) return 0;
  return 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}

// The outline of a recording, read while it comes in: the least and the greatest sample of each 20 ms of each channel.
// Pure. Takes 16-bit PCM in a RIFF file, as the server records it.

const BUCKET_MS = 20;
/** A file whose samples have not begun by then is no recording of ours. */
const LONGEST_HEAD = 64 * 1_024;

export interface Outline {
  /** Seconds a bucket covers. */
  step: number;
  /** Per channel: least and greatest sample of each bucket, −1 to 1. */
  channels: { low: number[]; high: number[] }[];
}

interface Format {
  channels: number;
  rate: number;
}

/** Reads a file in pieces of any size. */
export class OutlineReader {
  #head = new Uint8Array(0);
  #format: Format | null = null;
  #inData = false;
  /** The half of a sample that the last piece ended with. */
  #rest: number | null = null;
  #channel = 0;
  #inBucket = 0;
  #outline: Outline = { step: BUCKET_MS / 1_000, channels: [] };

  /** Takes the next piece. */
  push(piece: Uint8Array): void {
    const samples = this.#inData ? piece : this.#readHead(piece);
    if (samples !== null) this.#readSamples(samples);
  }

  /** What is known so far. */
  get outline(): Outline {
    return this.#outline;
  }

  /** Gives what follows the head of the `data` chunk, once that was reached. */
  #readHead(piece: Uint8Array): Uint8Array | null {
    const head = new Uint8Array(this.#head.length + piece.length);
    head.set(this.#head);
    head.set(piece, this.#head.length);
    const view = new DataView(head.buffer);
    for (let at = 12; at + 8 <= head.length; ) {
      const name = String.fromCharCode(...head.subarray(at, at + 4));
      const size = view.getUint32(at + 4, true);
      const body = at + 8;
      if (name === "data" && this.#format !== null) return this.#beginData(head.subarray(body));
      if (name === "fmt " && body + 8 <= head.length) this.#readFormat(view, body);
      at = body + size + (size % 2);
    }
    // Not kept for ever: the beginning of something else is forgotten, and never understood.
    this.#head = head.length > LONGEST_HEAD ? new Uint8Array(0) : head;
    return null;
  }

  #readFormat(view: DataView, at: number): void {
    this.#format = { channels: view.getUint16(at + 2, true), rate: view.getUint32(at + 4, true) };
  }

  #beginData(samples: Uint8Array): Uint8Array {
    this.#inData = true;
    this.#head = new Uint8Array(0);
    this.#outline.channels = Array.from({ length: this.#format?.channels ?? 0 }, () => ({ low: [], high: [] }));
    return samples;
  }

  #readSamples(bytes: Uint8Array): void {
    let at = 0;
    if (this.#rest !== null && bytes.length > 0) {
      this.#add(this.#rest | ((bytes[0] as number) << 8));
      this.#rest = null;
      at = 1;
    }
    for (; at + 1 < bytes.length; at += 2) this.#add((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
    if (at < bytes.length) this.#rest = bytes[at] as number;
  }

  /** One sample as its 16 bits. */
  #add(bits: number): void {
    const { channels } = this.#outline;
    const channel = channels[this.#channel];
    if (channel === undefined || this.#format === null) return;
    const sample = (bits & 0x8000 ? bits - 0x10000 : bits) / 32_768;
    if (this.#inBucket === 0) {
      channel.low.push(sample);
      channel.high.push(sample);
    } else {
      const last = channel.low.length - 1;
      if (sample < (channel.low[last] as number)) channel.low[last] = sample;
      if (sample > (channel.high[last] as number)) channel.high[last] = sample;
    }
    this.#channel = (this.#channel + 1) % channels.length;
    if (this.#channel > 0) return;
    this.#inBucket = (this.#inBucket + 1) % Math.round((this.#format.rate * BUCKET_MS) / 1_000);
  }
}

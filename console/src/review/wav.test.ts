import { assert, test } from "vitest";

import { OutlineReader } from "./wav";

const RATE = 1_000; // 20 samples a bucket

/** A stereo file whose left side is `left` and whose right side is `right`, with a chunk before the data. */
function file(left: readonly number[], right: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(12 + 24 + 12 + 8 + left.length * 4);
  const view = new DataView(bytes.buffer);
  const text = (at: number, value: string): void => bytes.set(new TextEncoder().encode(value), at);
  text(0, "RIFF");
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 2, true);
  view.setUint32(24, RATE, true);
  text(36, "LIST");
  view.setUint32(40, 3, true); // an odd size is padded
  text(48, "data");
  view.setUint32(52, left.length * 4, true);
  left.forEach((sample, i) => {
    view.setInt16(56 + i * 4, sample * 32_767, true);
    view.setInt16(58 + i * 4, (right[i] ?? 0) * 32_767, true);
  });
  return bytes;
}

const LEFT = Array.from({ length: 50 }, (_, i) => (i < 20 ? 0.5 : -0.25));
const RIGHT = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? 1 : -1));

test("each side has its own outline, whatever pieces the file comes in", () => {
  const bytes = file(LEFT, RIGHT);
  for (const size of [1, 3, 7, 40, 57, 1_000]) {
    const reader = new OutlineReader();
    for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
    const { step, channels } = reader.outline;
    assert.strictEqual(step, 0.02);
    assert.strictEqual(channels.length, 2);
    const [left, right] = channels;
    assert.deepEqual(left?.high.map((high) => Number(high.toFixed(2))), [0.5, -0.25, -0.25], `in pieces of ${size}`);
    assert.deepEqual(right?.high.map((high) => Number(high.toFixed(2))), [1, 1, 1]);
    assert.deepEqual(right?.low.map((low) => Number(low.toFixed(2))), [-1, -1, -1]);
  }
});

test("a piece larger than any head is read like others", () => {
  const long = Array.from({ length: 40_000 }, (_, i) => Math.sin(i));
  const reader = new OutlineReader();
  reader.push(file(long, long));
  assert.strictEqual(reader.outline.channels[0]?.high.length, 2_000);
});

test("a file that is none has no outline", () => {
  const reader = new OutlineReader();
  reader.push(new TextEncoder().encode("<!doctype html><title>Not a recording, and long enough to look like one</title>"));
  assert.deepEqual(reader.outline.channels, []);
});

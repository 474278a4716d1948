import { assert, test } from "vitest";

import { LineWatch, type Look } from "./line";

const GOOD: Look = { at: 0, dropped: 0, underruns: 0, roundTripMs: 30, mic: 0.05 };

/** What is said after a look every quarter of a second. */
function after(seconds: number, at: (second: number) => Partial<Look>): string[] {
  const watch = new LineWatch();
  let problems: string[] = [];
  for (let ms = 0; ms <= seconds * 1_000; ms += 250) problems = watch.look({ ...GOOD, ...at(ms / 1_000), at: ms });
  return problems;
}

test("a good line is not talked about, nor are troubles of long ago", () => {
  assert.deepEqual(after(30, () => ({})), []);
  assert.deepEqual(after(30, (second) => ({ dropped: Math.min(second * 10, 100), underruns: second < 5 ? second : 5 })), []);
});

test("voice that does not get out, voice that comes in pieces, and a slow way are told apart", () => {
  assert.deepEqual(after(4, (second) => ({ dropped: second * 10 })), ["line.voice_dropped"]);
  assert.deepEqual(after(4, (second) => ({ underruns: second * 2 })), ["line.choppy"]);
  assert.deepEqual(after(4, () => ({ roundTripMs: 900 })), ["line.slow"]);
  assert.deepEqual(after(4, () => ({ roundTripMs: null })), []);
});

test("a microphone is dead when a call begins without a word, not when it is muted or the agent listens", () => {
  assert.deepEqual(after(16, () => ({ mic: 0 })), ["line.dead_microphone"]);
  assert.deepEqual(after(14, () => ({ mic: 0 })), []);
  assert.deepEqual(after(30, () => ({ mic: null })), []);
  assert.deepEqual(after(60, (second) => ({ mic: second === 8 ? 0.01 : 0 })), []);
});

test("another call begins with nothing", () => {
  const watch = new LineWatch();
  watch.look(GOOD);
  watch.forget();
  assert.deepEqual(watch.look({ ...GOOD, at: 1_000, dropped: 500 }), []);
});

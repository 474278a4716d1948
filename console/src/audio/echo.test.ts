import { assert, test } from "vitest";

import { FRAMES, FRAME_MS, PLAYED, bursts, echoOf, levelOf } from "./echo";

/** The same numbers each time. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What a microphone hears of the bursts, `delay` frames late and `db` quieter, over noise of this level. */
function heard(db: number, delay: number, noise: number, seed = 1): number[] {
  const random = chance(seed);
  const share = 10 ** (db / 20);
  const on = (frame: number): boolean => bursts().some(({ from, to }) => frame * FRAME_MS >= from * 1_000 - 1 && frame * FRAME_MS < to * 1_000 - 1);
  return Array.from({ length: FRAMES }, (_, i) => {
    const burst = on(i - delay) ? PLAYED * share * (0.8 + 0.4 * random()) : 0;
    return Math.sqrt(burst ** 2 + (noise * (0.5 + random())) ** 2);
  });
}

test("an echo is found with its loudness and its delay", () => {
  for (const [db, delay, verdict] of [[-12, 4, "loud"], [-20, 15, "loud"], [-35, 9, "some"], [-40, 25, "some"]] as const) {
    const echo = echoOf(heard(db, delay, 0.0005));
    assert.strictEqual(echo.verdict, verdict, `${db} dB`);
    assert.closeTo(echo.db ?? 0, db, 2);
    assert.closeTo(echo.delayMs, delay * FRAME_MS, FRAME_MS);
  }
});

test("neither silence nor noise nor what nobody hears is an echo", () => {
  assert.deepEqual(echoOf(new Array<number>(FRAMES).fill(0)), { verdict: "none", db: null, delayMs: 0 });
  for (let seed = 1; seed <= 200; seed++) assert.strictEqual(echoOf(heard(-200, 0, 0.02, seed)).verdict, "none", `noise ${seed}`);
  assert.strictEqual(echoOf(heard(-55, 6, 0.00001)).verdict, "none", "too faint to be heard");
});

test("somebody who speaks meanwhile is hardly ever an echo, and hides none that is loud", () => {
  // Syllables of a fifth of a second, some with a pause between them.
  const speech = (seed: number): number[] => {
    const random = chance(seed);
    const syllables = Array.from({ length: FRAMES }, () => (random() < 0.3 ? 0 : 0.02 + 0.08 * random()));
    return Array.from({ length: FRAMES }, (_, i) => (syllables[Math.floor(i / 10)] ?? 0) * (0.6 + 0.8 * random()));
  };
  const found = Array.from({ length: 100 }, (_, i) => echoOf(speech(i + 1)).verdict).filter((verdict) => verdict !== "none");
  assert.isAtMost(found.length, 3, "of a hundred");
  const both = heard(-8, 5, 0.0005).map((level, i) => Math.hypot(level, (speech(3)[i] ?? 0) / 4));
  assert.strictEqual(echoOf(both).verdict, "loud");
});

test("the level of a frame is its root mean square", () => {
  assert.strictEqual(levelOf(new Int16Array(320).buffer), 0);
  assert.closeTo(levelOf(new Int16Array(320).fill(16_384).buffer), 0.5, 1e-6);
});

// The pure audio modules of the pages: resampler and jitter buffer.

import { assert, test } from "vitest";

import { JitterBuffer } from "./jitter";
import { Resampler } from "./resampler";

const FRAME = 320;
const QUANTUM = 128;

function tone(hz: number, rate: number, count: number, start = 0): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * (start + i)) / rate));
}

function rms(samples: Float32Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}

function db(ratio: number): number {
  return 20 * Math.log10(ratio);
}

function convert(from: number, to: number, input: Float32Array, quantum = QUANTUM): Float32Array {
  const resampler = new Resampler(from, to);
  const output: number[] = [];
  const scratch = new Float32Array(1024);
  for (let at = 0; at < input.length; at += quantum) {
    resampler.write(input.subarray(at, at + quantum));
    for (let read = 1; read > 0; ) {
      read = resampler.read(scratch);
      output.push(...scratch.subarray(0, read));
    }
  }
  return Float32Array.from(output);
}

/** Least-squares fit of one frequency: what is left over is noise. */
function toneToNoise(samples: Float32Array, hz: number, rate: number): number {
  let [ss, sc, cc, ys, yc] = [0, 0, 0, 0, 0];
  samples.forEach((y, i) => {
    const [s, c] = [Math.sin((2 * Math.PI * hz * i) / rate), Math.cos((2 * Math.PI * hz * i) / rate)];
    ss += s * s;
    sc += s * c;
    cc += c * c;
    ys += y * s;
    yc += y * c;
  });
  const det = ss * cc - sc * sc;
  const [a, b] = [(ys * cc - yc * sc) / det, (yc * ss - ys * sc) / det];
  const rest = samples.map(
    (y, i) => y - a * Math.sin((2 * Math.PI * hz * i) / rate) - b * Math.cos((2 * Math.PI * hz * i) / rate),
  );
  return db(rms(samples) / rms(rest));
}

for (const [from, to] of [
  [48_000, 16_000],
  [44_100, 16_000],
  [96_000, 16_000],
  [16_000, 48_000],
  [16_000, 44_100],
] as const) {
  test(`resampling ${from} → ${to} keeps a tone clean and its level`, () => {
    const output = convert(from, to, tone(1_000, from, from)).subarray(500, 8_000);
    assert.ok(Math.abs(db(rms(output) / rms(tone(1_000, to, 8_000)))) < 0.05, "level");
    const snr = toneToNoise(output, 1_000, to);
    assert.ok(snr > 70, `tone to noise is ${snr.toFixed(1)} dB`);
  });
}

test("resampling 48000 → 16000 removes what would alias", () => {
  const output = convert(48_000, 16_000, tone(10_000, 48_000, 48_000)).subarray(500);
  assert.ok(db(rms(output) / 0.354) < -70, `${db(rms(output) / 0.354)} dB`);
});

test("any chunking gives the same samples", () => {
  const input = tone(440, 48_000, 9_600);
  const whole = convert(48_000, 16_000, input, 9_600);
  for (const quantum of [1, 7, 128, 1_000]) {
    assert.deepEqual(convert(48_000, 16_000, input, quantum), whole);
  }
});

test("what `needed` asks for is exactly enough, for every common rate", () => {
  for (const rate of [8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000]) {
    const resampler = new Resampler(16_000, rate);
    const output = new Float32Array(QUANTUM);
    let taken = 0;
    for (let turn = 0; turn < 2_000; turn++) {
      const needed = resampler.needed(QUANTUM);
      resampler.write(new Float32Array(needed));
      taken += needed;
      assert.strictEqual(resampler.read(output), QUANTUM, `at ${rate} Hz`);
    }
    const expected = (2_000 * QUANTUM * 16_000) / rate;
    assert.ok(Math.abs(taken - expected) < 64, `at ${rate} Hz took ${taken} for ${expected}`);
  }
});

type Schedule = (ms: number) => number;

/** Plays `schedule` (ms → number of 20 ms frames arriving) for `ms`; returns what was heard. */
function play(jitter: JitterBuffer, ms: number, schedule: Schedule, makeFrame: (n: number) => Float32Array): Float32Array {
  const heard: number[] = [];
  let sent = 0;
  const output = new Float32Array(32); // 2 ms
  for (let now = 0; now < ms; now += 2) {
    for (let n = schedule(now); n > 0; n--) jitter.push(makeFrame(sent++));
    jitter.pull(output);
    heard.push(...output);
  }
  return Float32Array.from(heard);
}

const every20: Schedule = (now) => (now % 20 === 0 ? 1 : 0);
const toneFrame = (n: number): Float32Array => tone(200, 16_000, FRAME, n * FRAME);

/** Largest step between neighbouring samples: a click is a step no 200 Hz tone makes. */
function largestStep(samples: Float32Array): number {
  let largest = 0;
  for (let i = 1; i < samples.length; i++) largest = Math.max(largest, Math.abs((samples[i] ?? 0) - (samples[i - 1] ?? 0)));
  return largest;
}
const SMOOTH = 0.08;

test("a steady stream is played without a gap after the first 40 ms", () => {
  const jitter = new JitterBuffer();
  const heard = play(jitter, 2_000, every20, toneFrame);
  assert.strictEqual(jitter.underruns, 0);
  assert.ok(rms(heard.subarray(0, 16 * 18)) === 0, "gathers first");
  assert.ok(rms(heard.subarray(16 * 60)) > 0.34);
  assert.ok(largestStep(heard) < SMOOTH, `step ${largestStep(heard)}`);
});

test("late frames raise the target up to 120 ms, calm lowers it again", () => {
  const jitter = new JitterBuffer();
  // Once a second some frames come late and at once, each time a little later.
  const worse: Schedule = (now) => {
    const late = 60 + 40 * Math.floor(now / 1_000);
    const phase = now % 1_000;
    if (phase > 500 && phase < 500 + late) return 0;
    return phase === 500 + late ? late / 20 : every20(now);
  };
  const heard = play(jitter, 6_000, worse, toneFrame);
  const grown = jitter.target / 16;
  assert.ok(grown >= 80 && grown <= 120, `target ${grown} ms`);
  assert.ok(jitter.underruns >= 2 && jitter.underruns <= 6, `${jitter.underruns} underruns`);
  assert.ok(largestStep(heard) < SMOOTH, `step ${largestStep(heard)}`);
  play(jitter, 80_000, every20, toneFrame);
  assert.strictEqual(jitter.target / 16, 40);
});

test("running dry fades instead of clicking, and the next sentence is no underrun", () => {
  const jitter = new JitterBuffer();
  const sentences: Schedule = (now) => (now % 1_000 < 500 ? every20(now) : 0);
  const heard = play(jitter, 5_000, sentences, toneFrame);
  assert.strictEqual(jitter.underruns, 0);
  assert.ok(largestStep(heard) < SMOOTH, `step ${largestStep(heard)}`);
});

test("after a stall the delay shrinks again and nothing clicks", () => {
  const jitter = new JitterBuffer();
  jitter.live = true;
  let owed = 0;
  const stall: Schedule = (now) => {
    const n = every20(now);
    if (now >= 2_000 && now < 2_600) {
      owed += n;
      return 0;
    }
    const due = n + owed;
    owed = 0;
    return due;
  };
  const heard = play(jitter, 12_000, stall, toneFrame);
  assert.ok(jitter.spliced > 0, "spliced");
  assert.ok(jitter.depth / 16 < 190, `${jitter.depth / 16} ms still wait`);
  assert.strictEqual(jitter.dropped, 0);
  assert.ok(largestStep(heard) < SMOOTH, `step ${largestStep(heard)}`);
});

test("prepared speech that runs ahead in real time keeps its lead", () => {
  const jitter = new JitterBuffer();
  const ahead: Schedule = (now) => (now === 0 ? 75 : every20(now)); // a second and a half, then paced
  play(jitter, 6_000, ahead, toneFrame);
  assert.strictEqual(jitter.spliced, 0);
  assert.ok(jitter.depth / 16 > 1_400, `${jitter.depth / 16} ms`);
});

test("speech sent ahead of time is played whole and unhurried", () => {
  const jitter = new JitterBuffer();
  jitter.live = true;
  for (let n = 0; n < 250; n++) jitter.push(toneFrame(n)); // five seconds at once
  jitter.mark(1);
  const heard = play(jitter, 5_100, () => 0, toneFrame);
  assert.strictEqual(jitter.spliced, 0);
  assert.ok(rms(heard.subarray(0, 80_000)) > 0.34);
  assert.deepEqual(jitter.takeReached(), [1]);
});

test("marks come when their position was played, in order", () => {
  const jitter = new JitterBuffer();
  jitter.mark(1); // nothing before it
  assert.deepEqual(jitter.takeReached(), [1]);
  for (let n = 0; n < 5; n++) jitter.push(toneFrame(n));
  jitter.mark(2);
  for (let n = 0; n < 5; n++) jitter.push(toneFrame(n));
  jitter.mark(3);
  const frame = new Float32Array(FRAME);
  for (let n = 0; n < 4; n++) jitter.pull(frame);
  assert.deepEqual(jitter.takeReached(), []);
  jitter.pull(frame);
  assert.deepEqual(jitter.takeReached(), [2]);
  for (let n = 0; n < 5; n++) jitter.pull(frame);
  assert.deepEqual(jitter.takeReached(), [3]);
});

test("clear empties the queue, fades out and gives back every mark", () => {
  const jitter = new JitterBuffer();
  for (let n = 0; n < 20; n++) jitter.push(toneFrame(n));
  jitter.mark(7);
  for (let n = 0; n < 20; n++) jitter.push(toneFrame(n));
  jitter.mark(8);
  const before = new Float32Array(FRAME);
  jitter.pull(before);
  assert.deepEqual(jitter.clear(), [7, 8]);
  assert.strictEqual(jitter.depth, 0);
  const after = new Float32Array(FRAME);
  jitter.pull(after);
  assert.strictEqual(rms(after.subarray(80)), 0);
  assert.ok(largestStep(Float32Array.from([...before, ...after])) < SMOOTH);
  // The next words start as usual and nothing counts as late.
  for (let n = 0; n < 5; n++) jitter.push(toneFrame(n));
  jitter.pull(after);
  assert.ok(rms(after) > 0.2);
  assert.strictEqual(jitter.underruns, 0);
});

test("a clip shorter than the target is played too", () => {
  const jitter = new JitterBuffer();
  jitter.push(toneFrame(0));
  const heard = play(jitter, 100, () => 0, toneFrame);
  assert.ok(rms(heard) > 0.1);
});

test("more than the limit is dropped and counted", () => {
  const jitter = new JitterBuffer({ limit: 1 });
  for (let n = 0; n < 60; n++) jitter.push(toneFrame(n));
  assert.strictEqual(jitter.depth, 16_000);
  assert.strictEqual(jitter.dropped, 10 * FRAME);
});

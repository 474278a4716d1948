// How much of what the loudspeaker plays comes back through the microphone. Pure.
//
// Bursts are played in an irregular pattern. What the microphone hears is compared with that pattern at every delay a
// loudspeaker, a room and a browser may have: an echo is louder wherever a burst was on, whatever else is to be heard.

/** One look at the microphone. */
export const FRAME_MS = 20;
/** Frames of one burst, or of the pause in its place. */
const SLOT = 6;
/** Bursts and pauses: without a rhythm of their own, and as many of the one as of the other. */
const SLOTS = [1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0] as const;
/** The longest way from the loudspeaker to the microphone that is looked for, in frames. */
const MOST_DELAY = 30;
/** By so many standard errors bursts must be louder than pauses; chance does that once in some ten thousand tests. */
const SURE = 5;
/** What a caller hardly hears, and what they hear well: of the played level, in decibels. */
const FAINT_DB = -45;
const LOUD_DB = -25;

/** What the bursts are played with: root mean square, 1 is full scale. */
export const PLAYED = 0.1;

export interface Echo {
  /** How it is for a caller. */
  verdict: "none" | "some" | "loud";
  /** Echo to what was played, in decibels; null while there is none. */
  db: number | null;
  /** From loudspeaker to microphone, and through the browser. */
  delayMs: number;
}

/** When each burst begins and ends, in seconds. */
export function bursts(): { from: number; to: number }[] {
  const slot = (SLOT * FRAME_MS) / 1_000;
  return SLOTS.flatMap((on, i) => (on === 1 ? [{ from: i * slot, to: (i + 1) * slot }] : []));
}

/** How many frames the test takes, the longest delay included. */
export const FRAMES = SLOTS.length * SLOT + MOST_DELAY;

/** `levels`: root mean square of each frame of the microphone from the first burst's beginning on, at least [`FRAMES`]. */
export function echoOf(levels: readonly number[]): Echo {
  const powers = levels.map((level) => level * level);
  let best = { t: 0, power: 0, delay: 0 };
  for (let delay = 0; delay <= MOST_DELAY; delay++) {
    const found = compare(powers, delay);
    if (found.t > best.t) best = { ...found, delay };
  }
  const db = best.power > 0 ? 10 * Math.log10(best.power / (PLAYED * PLAYED)) : -Infinity;
  if (best.t < SURE || db < FAINT_DB) return { verdict: "none", db: null, delayMs: 0 };
  return { verdict: db < LOUD_DB ? "some" : "loud", db: Math.round(db), delayMs: best.delay * FRAME_MS };
}

/** How much louder bursts are than pauses at this delay, and how sure that is. */
function compare(powers: readonly number[], delay: number): { t: number; power: number } {
  const sides: [number[], number[]] = [[], []];
  SLOTS.forEach((on, slot) => {
    // Edges belong to neither: a burst dies away, and a delay is no whole number of frames.
    for (let i = 1; i < SLOT - 1; i++) sides[on].push(powers[delay + slot * SLOT + i] ?? 0);
  });
  const [off, on] = sides.map(stats) as [Stats, Stats];
  const error = Math.sqrt(off.variance / off.n + on.variance / on.n);
  const power = on.mean - off.mean;
  return { power, t: error > 0 ? power / error : 0 };
}

interface Stats {
  n: number;
  mean: number;
  variance: number;
}

function stats(values: readonly number[]): Stats {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { n: values.length, mean, variance };
}

/** Root mean square of a frame of 16-bit PCM. */
export function levelOf(pcm: ArrayBuffer): number {
  const samples = new Int16Array(pcm);
  let sum = 0;
  for (const sample of samples) sum += (sample / 32_768) ** 2;
  return Math.sqrt(sum / Math.max(1, samples.length));
}

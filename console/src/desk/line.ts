// What is wrong with the line during a call, told from counts and levels. Pure: time comes in as an argument.

import type { MessageKey } from "../i18n/i18n.svelte";

/** One look at the line; counts grow from the beginning of the tab. */
export interface Look {
  at: number;
  /** Frames of the agent's voice that the network did not take in time. */
  dropped: number;
  /** Times the caller's voice ran dry. */
  underruns: number;
  /** There and back, in milliseconds; null while unknown. */
  roundTripMs: number | null;
  /** Level of the microphone, 0 to 1; null while it is muted or closed. */
  mic: number | null;
}

/** Looks further back than that are forgotten. */
const WINDOW_MS = 10_000;
const MOST_DROPPED = 10;
const MOST_UNDERRUNS = 3;
const SLOW_MS = 400;
/** Below this nothing is heard. Noise suppression makes a listening agent as silent as a dead microphone, so that alone
 * says nothing: but who says not a word in the first seconds of a call is not heard. */
const SILENT = 0.000_1;
const FIRST_WORD_WITHIN_MS = 15_000;

export class LineWatch {
  #looks: Look[] = [];
  /** When an open microphone was first looked at without anything heard from it since; null once it was heard. */
  #silentSince: number | null | undefined;

  /** Takes a look, and says what is wrong, the worst first. */
  look(look: Look): MessageKey[] {
    this.#looks = [...this.#looks.filter(({ at }) => look.at - at <= WINDOW_MS), look];
    const [first] = this.#looks;
    if (first === undefined) return [];
    const problems: MessageKey[] = [];
    if (this.#isDead(look)) problems.push("line.dead_microphone");
    if (look.dropped - first.dropped > MOST_DROPPED) problems.push("line.voice_dropped");
    if (look.underruns - first.underruns > MOST_UNDERRUNS) problems.push("line.choppy");
    if (look.roundTripMs !== null && look.roundTripMs > SLOW_MS) problems.push("line.slow");
    return problems;
  }

  #isDead({ at, mic }: Look): boolean {
    if (mic !== null && mic >= SILENT) this.#silentSince = null;
    else if (mic !== null && this.#silentSince === undefined) this.#silentSince = at;
    return mic !== null && typeof this.#silentSince === "number" && at - this.#silentSince > FIRST_WORD_WITHIN_MS;
  }

  /** Another call begins: what was before does not count. */
  forget(): void {
    this.#looks = [];
    this.#silentSince = undefined;
  }
}

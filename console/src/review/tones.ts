import type { CallOutcome, HandoffOutcome } from "../api/types";
import type { Tone } from "../ui/toasts.svelte";

const TONES: Record<CallOutcome | HandoffOutcome, Tone | ""> = {
  live: "warm",
  open: "warm",
  left_message: "warm",
  callback_booked: "warm",
  spoke_with_agent: "good",
  ended_with_assistant: "good",
  bridged: "good",
  transferred: "good",
  back_to_assistant: "good",
  abandoned_in_queue: "bad",
  interrupted: "bad",
  not_reached: "warm",
  caller_hung_up: "",
};

/** The colour of an outcome. */
export function toneOf(outcome: CallOutcome | HandoffOutcome): Tone | "" {
  return TONES[outcome];
}

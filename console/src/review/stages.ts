import type { TurnTimings } from "../api/types";
import type { MessageKey } from "../i18n/i18n.svelte";

/** The parts of the time to the first word, in order. */
export const STAGES: readonly { key: keyof TurnTimings; name: MessageKey }[] = [
  { key: "endpointing_ms", name: "stage.endpointing" },
  { key: "stt_ms", name: "stage.stt" },
  { key: "llm_ms", name: "stage.llm" },
  { key: "tts_ms", name: "stage.tts" },
];

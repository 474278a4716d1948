// What the page and its audio worklets say to each other.

/** To the capture worklet. */
export type CaptureOrder = { type: "mute"; on: boolean } | { type: "stop" };

/** One frame from the microphone: 20 ms of PCM, with the RMS of what was heard. */
export interface Captured {
  pcm: ArrayBuffer;
  level: number;
}

/** To the playback worklet. */
export type PlaybackOrder =
  | { type: "audio"; pcm: ArrayBuffer }
  | { type: "mark"; id: number }
  | { type: "clear" }
  | { type: "live"; on: boolean }
  | { type: "latency"; seconds: number }
  | { type: "stop" };

/** From the playback worklet. */
export type PlaybackReport =
  | { type: "marks"; ids: number[] }
  | { type: "level"; level: number; waiting_ms: number; underruns: number };

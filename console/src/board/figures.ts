// Numbers of the contact centre as they are shown, and when one is worth a look. Pure.

import type { Figures } from "../api/types";

export type Tone = "" | "warm" | "bad";

/** 0.834 → `83 %`. */
export function percent(share: number | null | undefined): string {
  return share == null ? "–" : `${Math.round(share * 100)} %`;
}

/** Fewer than four of five in time is seen, fewer than three of five alarms. */
export function serviceTone({ service_level }: Figures): Tone {
  if (service_level == null || service_level >= 0.8) return "";
  return service_level >= 0.6 ? "warm" : "bad";
}

/** Above nine tenths nobody keeps up for long. */
export function occupancyTone(occupancy: number | null | undefined): Tone {
  return occupancy != null && occupancy > 0.9 ? "warm" : "";
}

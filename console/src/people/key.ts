// What a key is now. Pure.

import type { KeyRecord } from "../api/types";

export type KeyState = "good" | "expired" | "revoked";

export function keyState(key: KeyRecord, now: number): KeyState {
  if (key.revoked_at != null) return "revoked";
  return Date.parse(key.expires_at) <= now ? "expired" : "good";
}

/** Days a key may be good for, as they are offered. */
export const LIVES = [30, 90, 365, 730] as const;

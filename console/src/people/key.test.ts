import { assert, test } from "vitest";

import type { KeyRecord } from "../api/types";
import { keyState } from "./key";

const KEY: KeyRecord = {
  id: "k",
  name: "Reporting",
  role: "agent",
  ending: "x7Q2",
  made_by: "sue",
  made_at: "2026-01-01T00:00:00Z",
  expires_at: "2026-02-01T00:00:00Z",
};
const at = (text: string): number => Date.parse(text);

test("a key is good until it ends or is revoked", () => {
  assert.strictEqual(keyState(KEY, at("2026-01-31T23:59:59Z")), "good");
  assert.strictEqual(keyState(KEY, at("2026-02-01T00:00:00Z")), "expired");
  const revoked = { ...KEY, revoked_at: "2026-01-02T00:00:00Z" };
  assert.strictEqual(keyState(revoked, at("2026-01-03T00:00:00Z")), "revoked");
  assert.strictEqual(keyState(revoked, at("2027-01-03T00:00:00Z")), "revoked", "that says more than expired");
});

import { assert, test } from "vitest";

import type { Figures } from "../api/types";
import { occupancyTone, percent, serviceTone } from "./figures";

const level = (service_level: number | null): Figures => ({ service_level }) as Figures;

test("shares are whole percent, and nothing is a dash", () => {
  assert.deepEqual([percent(0.834), percent(0), percent(1), percent(null), percent(undefined)], ["83 %", "0 %", "100 %", "–", "–"]);
});

test("a low service level is seen, a very low one alarms, none is no news", () => {
  assert.deepEqual([0.8, 0.79, 0.6, 0.59, 0].map((share) => serviceTone(level(share))), ["", "warm", "warm", "bad", "bad"]);
  assert.strictEqual(serviceTone(level(null)), "");
});

test("who is busy nearly all the time is seen", () => {
  assert.deepEqual([occupancyTone(0.85), occupancyTone(0.9), occupancyTone(0.91), occupancyTone(null)], ["", "", "warm", ""]);
});

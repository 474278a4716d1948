import { assert, test } from "vitest";

import { sentencesOf } from "./signals";

test("signals are sentences, shares are percent", () => {
  assert.deepEqual(sentencesOf({ confidence: 0.614, retrieval_score: 0.18, silence_prompts: 2 }), [
    "Recognition was 61 % sure of the words.",
    "The best entry fitted with 18 %.",
    "The caller was asked 2 times whether somebody is there.",
  ]);
});

test("what is false is said where that means something, what is missing is not", () => {
  assert.deepEqual(sentencesOf({ answerable: false, anger: false, danger: true, chosen: null }), [
    "No entry had the answer.",
    "Words about danger were heard.",
  ]);
});

test("a signal of a newer server is shown with its name", () => {
  assert.deepEqual(sentencesOf({ moon_phase: 0.5, "is-new": true }), ["Moon phase: 0.50.", "Is-new."]);
  assert.deepEqual(sentencesOf(null), []);
});

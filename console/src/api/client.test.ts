import { afterEach, assert, test } from "vitest";

import de from "../i18n/de.json";
import en from "../i18n/en.json";
import { language } from "../i18n/i18n.svelte";
import { sentence } from "./client";

const TAKEN = { code: "bad_request", message: "`sales` keeps the hours `office` already.", reason: "hours_queue_has_others", values: { queue: "sales", hours: "office" } };

afterEach(() => {
  language.locale = "en";
  language.messages = en;
});

test("who reads English gets the server's own sentence", () => {
  assert.strictEqual(sentence(TAKEN), TAKEN.message);
});

test("others get the mistake in their language, then the code, then the server's sentence", () => {
  language.locale = "de";
  language.messages = de;
  assert.strictEqual(sentence(TAKEN), "„sales“ hat schon die Zeiten „office“.");
  const gone = { code: "not_found", message: "Shift not found.", reason: "", values: {} };
  assert.strictEqual(sentence(gone), "Das gibt es nicht oder nicht mehr.");
  assert.strictEqual(sentence({ ...gone, reason: "of_a_newer_server" }), "Das gibt es nicht oder nicht mehr.");
  assert.strictEqual(sentence({ ...gone, code: "of_a_newer_server" }), "Shift not found.");
  assert.strictEqual(sentence({ code: "", message: "", reason: "", values: {} }), "Der Server konnte das nicht. Bitte versuchen Sie es noch einmal.");
});

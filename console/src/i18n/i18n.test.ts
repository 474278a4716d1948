// Every language says the same things: same keys, same values to fill in.

import { assert, test } from "vitest";

import de from "./de.json";
import en from "./en.json";

function blanks(message: string | { one: string; other: string }): string[] {
  const text = typeof message === "string" ? message : message.other;
  return [...text.matchAll(/\{\w+\}/g)].map(String).sort();
}

test("the languages have the same keys", () => {
  assert.deepEqual(Object.keys(de), Object.keys(en));
});

test("the languages fill in the same values, with plural forms where English has them", () => {
  for (const key of Object.keys(en) as (keyof typeof en)[]) {
    assert.deepEqual(blanks(de[key]), blanks(en[key]), key);
    assert.strictEqual(typeof de[key], typeof en[key], key);
  }
});

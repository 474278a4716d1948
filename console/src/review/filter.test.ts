import { assert, test } from "vitest";

import { addressOf, filterOf, queryOf } from "./filter";

test("a filter comes back from the address as it was", () => {
  const text = "outcome=left_message&reason=silence&from=2026-03-01&to=2026-03-02&said=parcel";
  assert.strictEqual(addressOf(filterOf(new URLSearchParams(text))).toString(), text);
});

test("what nobody could have chosen is left out", () => {
  const filter = filterOf(new URLSearchParams("outcome=gone&reason=&from=yesterday&to=2026-1-1&more=1"));
  assert.deepEqual(filter, { outcome: null, reason: null, from: "", to: "", said: "" });
  assert.strictEqual(addressOf(filter).toString(), "");
  assert.deepEqual(queryOf(filter), {});
});

test("a day ends where the next begins, in the reader's zone", () => {
  const { since, until } = queryOf(filterOf(new URLSearchParams("from=2026-03-01&to=2026-03-01")));
  assert.strictEqual(Date.parse(until ?? "") - Date.parse(since ?? ""), 86_400_000);
});

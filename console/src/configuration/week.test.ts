import { assert, test } from "vitest";

import { fieldProblems, linesOf, specialLines, specialsOf, weekOf, lineIn } from "./week";

test("lines become a week and the week the same lines", () => {
  const lines = ["mon-fri 08:00-18:00", "sat 09:00-12:00, 13:00-15:00"];
  const week = weekOf(lines);
  assert.deepEqual(week, [...Array<string>(5).fill("08:00-18:00"), "09:00-12:00, 13:00-15:00", ""]);
  assert.deepEqual(linesOf(week ?? []), lines);
});

test("days alike that are apart have lines of their own", () => {
  const week = weekOf(["mon,wed 10:00-12:00", "mon 14:00-16:00", "sat-mon 20:00-21:00"]);
  assert.deepEqual(week?.[0], "10:00-12:00, 14:00-16:00, 20:00-21:00");
  assert.deepEqual(linesOf(["1-2", "1-2", "", "1-2", "3-4", "", ""]), ["mon-tue 1-2", "thu 1-2", "fri 3-4"]);
  assert.deepEqual(linesOf(["", "", "", "", "", "", ""]), []);
});

test("what the form would not write is not taken apart", () => {
  for (const line of ["monday 08:00-18:00", "mon", "mon-xyz 08:00-18:00"]) assert.strictEqual(weekOf([line]), null, line);
});

test("days that differ are closed or have hours", () => {
  const lines = ["2026-12-25", "2026-12-24 09:00-12:00, 13:00-14:00"];
  assert.deepEqual(specialsOf(lines), [{ date: "2026-12-25", hours: "" }, { date: "2026-12-24", hours: "09:00-12:00, 13:00-14:00" }]);
  assert.deepEqual(specialLines(specialsOf(lines)), lines);
  assert.deepEqual(specialLines([{ date: "", hours: "09:00-12:00" }]), []);
});

test("problems stand beside the fields they are about", () => {
  const week = ["08:00-18:00", "08:00-18:00", "", "8-18", "", "", ""];
  const special = [{ date: "", hours: "" }, { date: "2026-12-25", hours: "late" }];
  const problem = (part: "zone" | "weekly" | "days", line: number) => ({ part, line, reason: `${part} ${line}` });
  const found = fieldProblems([problem("zone", 0), problem("weekly", 1), problem("days", 0)], week, special);
  assert.strictEqual(found.zone, "zone 0");
  assert.deepEqual(found.week, [null, null, null, "weekly 1", null, null, null]);
  assert.deepEqual(found.special, [null, "days 0"]);
  const nothing = fieldProblems([problem("weekly", 0)], ["", "", "", "", "", "", ""], []);
  assert.strictEqual(nothing.whole, "weekly 0", "a week without hours");
});

test("days are named in the reader's language, and what is no day stays", () => {
  assert.strictEqual(lineIn("en", "mon-fri 08:00-18:00"), "Mon-Fri 08:00-18:00");
  assert.strictEqual(lineIn("en", "mon,wed,sun 09:00-12:00, 13:00-17:00"), "Mon,Wed,Sun 09:00-12:00, 13:00-17:00");
  assert.strictEqual(lineIn("de", "tue-sat 22:00-06:00"), "Di-Sa 22:00-06:00");
  assert.strictEqual(lineIn("en", "whenever 8"), "whenever 8");
});

// Follows docs/tour.md step by step with the simulated desk running, and makes its pictures, light and dark.
//
//   WARMLINE_BIN=target/debug/warmline node tour.mjs       pictures go to $SHOTS (default: docs/images)

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { AUDIBLE, heard, openBrowser, untilMain } from "./browser.mjs";
import { openDay } from "./simulate.mjs";
import { voice, wav } from "./voice.mjs";

const images = process.env.SHOTS ?? fileURLToPath(new URL("../../docs/images/", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "warmline-tour-"));
const microphone = join(folder, "voice.wav");
await writeFile(microphone, wav(voice(8_000, 180, 48_000), 48_000));
const { url, name, password, stop } = await openDay(folder);
const began = Date.now();
const done = (what) => console.log(`ok     ${what} (${((Date.now() - began) / 1_000).toFixed(0)} s into the tour)`);
const browsers = [];

/** A picture in both themes. */
async function shot(page, picture) {
  for (const dark of [false, true]) {
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    await page.waitForTimeout(250);
    await page.screenshot({ path: join(images, `tour-${picture}-${dark ? "dark" : "light"}.png`) });
  }
  await page.emulateMedia({ colorScheme: "light" });
}

try {
  for (let i = 0; i < 2; i++) browsers.push(await openBrowser({ microphone, size: { width: 1280, height: 800 } }));
  const [page, caller] = browsers.map((each) => each.page);
  await page.goto(`${url}/agent`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByLabel("Password").press("Enter");
  await untilMain(page, "the desk connects", (data) => data.link === "up");
  await page.getByRole("link", { name: "Wallboard" }).click();
  await page.locator('.live-call[data-stage="agent"]').first().waitFor({ timeout: 60_000 });
  await page.waitForTimeout(8_000);
  await page.locator(".live-call").last().getByRole("button", { name: "Listen" }).click();
  await page.locator(".supervising").waitFor();
  await page.waitForTimeout(1_500);
  await shot(page, "wallboard");
  done("1. the wallboard shows who is on the line, and a call is listened to");
  if (await page.locator(".supervising").isVisible()) await page.getByRole("button", { name: "Stop listening" }).click().catch(() => undefined);

  await page.getByRole("link", { name: "Desk" }).click();
  await page.getByRole("button", { name: "Available", exact: true }).click();
  await untilMain(page, "available", (data) => data.state === "available" || data.phase === "offer");
  await untilMain(page, "a caller rings", (data) => data.phase === "offer", 90_000);
  await page.locator("body").press("a");
  await untilMain(page, "the call", (data) => data.phase === "call");
  await page.waitForTimeout(1_500);
  await shot(page, "call");
  done("2. a caller is taken with the key A");
  const phase = () => page.evaluate(() => document.getElementById("main").dataset.phase);
  if ((await phase()) === "call") await page.locator("#end").click();
  await untilMain(page, "wrap-up", (data) => data.phase === "wrap_up");
  await page.locator(".option").first().click();
  await page.getByRole("button", { name: "Save and finish" }).click();
  await page.getByRole("button", { name: "Offline", exact: true }).click();
  await untilMain(page, "offline", (data) => data.state === "offline");

  await caller.goto(url);
  await caller.getByRole("button", { name: "Call", exact: true }).click();
  await untilMain(caller, "the call connects", (data) => data.phase === "live");
  await caller.locator('.line[data-who="assistant"]').first().waitFor();
  await caller.locator("body").press("0");
  await untilMain(caller, "a person", (data) => data.speaking === "agent", 90_000);
  await caller.waitForTimeout(600);
  const level = await heard(caller);
  await shot(caller, "caller");
  done(`3. pressing 0 brings a person, who is heard (level ${level})`);
  if (level < AUDIBLE) throw new Error("the person is not heard");
  await caller.getByRole("button", { name: "Hang up" }).click().catch(() => undefined);

  await page.getByRole("link", { name: "Calls" }).click();
  await page.getByLabel("Outcome").selectOption("spoke_with_agent");
  await page.waitForFunction(() => [...document.querySelectorAll(".records tbody .tag")].every((tag) => tag.textContent === "Spoke with a person"));
  await page.locator(".row-link").nth(3).click();
  await page.locator(".timeline canvas").nth(2).waitFor();
  await page.waitForTimeout(1_000);
  await shot(page, "review");
  await page.getByRole("heading", { name: "Why a person" }).waitFor();
  await page.locator(".score").first().locator("fieldset").first().getByRole("radio", { name: "4" }).check();
  await page.getByRole("button", { name: "Save points" }).first().click();
  await page.getByText("The points are saved.").waitFor();
  await page.getByRole("button", { name: "Turn this into a test" }).click();
  await page.getByLabel("Scenario (YAML)").waitFor();
  await page.keyboard.press("Escape");
  done("4. a call is looked at, given points, and made a test of");

  await page.getByRole("link", { name: "Knowledge" }).click();
  await page.getByRole("searchbox").fill("are you open on Sunday");
  await page.locator(".try-it blockquote", { hasText: "Sunday" }).waitFor();
  await page.locator(".entry", { hasText: "Opening hours" }).locator("summary").click();
  await page.locator(".entry", { hasText: "Opening hours" }).getByRole("link", { name: "Edit" }).click();
  await page.getByRole("button", { name: "Try" }).click();
  await page.locator(".tried blockquote").first().waitFor();
  if (!(await page.getByRole("button", { name: "Keep" }).isDisabled())) throw new Error("the demo company's entry can be kept");
  done("5. the knowledge base answers, and a draft is tried");
} catch (error) {
  console.log(`FAILED ${error.message}`);
  for (const [i, { page }] of browsers.entries()) await page.screenshot({ path: join(tmpdir(), `tour-failed-${i}.png`) }).catch(() => {});
  process.exitCode = 1;
} finally {
  await Promise.all(browsers.map((each) => each.close()));
  stop();
  await rm(folder, { recursive: true, force: true });
}

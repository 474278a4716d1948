// One headless Chromium with a microphone that plays a WAV file.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

/**
 * Starts a browser of its own process and profile.
 * @param {{microphone: string, size?: object, dark?: boolean}} options `microphone`: path of a WAV file, played in a loop
 */
export async function openBrowser({ microphone, size = { width: 1280, height: 860 }, dark = false }) {
  const profile = await mkdtemp(join(tmpdir(), "warmline-e2e-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    viewport: size,
    colorScheme: dark ? "dark" : "light",
    reducedMotion: "no-preference",
    args: [
      "--no-sandbox",
      "--headless=new",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      `--use-file-for-fake-audio-capture=${microphone}`,
      "--autoplay-policy=user-gesture-required",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    // Chromium prints answers that are not 2xx as errors; the pages say them in sentences, and the test looks for those.
    if (message.type() === "error" && !/server responded with a status of (400|401|403|404|409|503)/.test(message.text())) problems.push(message.text());
  });
  return {
    page,
    problems,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** Waits until `check(dataset of <main>)` holds; gives how long it took, or throws naming `what`. */
export async function untilMain(page, what, check, timeout = 10_000) {
  const began = Date.now();
  for (;;) {
    const data = await page.evaluate(() => ({ ...document.getElementById("main")?.dataset }));
    if (check(data)) return { ms: Date.now() - began, data };
    if (Date.now() - began > timeout) throw new Error(`${what}: not within ${timeout} ms; the page says ${JSON.stringify(data)}`);
    await page.waitForTimeout(40);
  }
}

/** Largest of a level shown by `<main>` within `ms`. */
export async function loudest(page, name, ms = 1_500) {
  const until = Date.now() + ms;
  let most = 0;
  while (Date.now() < until) {
    const level = Number(await page.evaluate((key) => document.getElementById("main")?.dataset[key] ?? "0", name));
    most = Math.max(most, level);
    await page.waitForTimeout(100);
  }
  return most;
}

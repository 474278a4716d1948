// One headless Chromium with a microphone that plays a WAV file.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

/** For what people, pages and sockets do one after the other, also on a busy machine. */
export const PATIENCE = 60_000;
/** From this level on a voice is heard; below the other there is none. */
export const AUDIBLE = 0.01;
export const SILENT = 0.003;

/**
 * Starts a browser of its own process and profile.
 * @param {{microphone: string, size?: object, dark?: boolean}} options `microphone`: path of a WAV file, played in a loop
 */
export async function openBrowser({ microphone, size = { width: 1280, height: 860 }, dark = false }) {
  const profile = await mkdtemp(join(tmpdir(), "warmline-e2e-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    timeout: 2 * PATIENCE,
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
  context.setDefaultTimeout(PATIENCE);
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
export async function untilMain(page, what, check, timeout = PATIENCE) {
  const began = Date.now();
  for (;;) {
    // While a page is being loaded there is nobody to ask.
    const data = await page.evaluate(() => ({ ...document.getElementById("main")?.dataset })).catch(() => ({}));
    if (check(data)) return { ms: Date.now() - began, data };
    if (Date.now() - began > timeout) throw new Error(`${what}: not within ${timeout} ms; the page says ${JSON.stringify(data)}`);
    await page.waitForTimeout(40);
  }
}

/** The page of `pages` of which `check(dataset of <main>)` holds first. */
export async function firstMain(pages, what, check) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    for (const page of pages) {
      const data = await page.evaluate(() => ({ ...document.getElementById("main")?.dataset })).catch(() => ({}));
      if (check(data)) return page;
    }
    if (Date.now() > until) throw new Error(`${what}: not within ${PATIENCE} ms`);
    await pages[0].waitForTimeout(40);
  }
}

/** Looks until `wanted(found)` holds; gives what was found last, wanted or not. */
export async function becomes(look, wanted) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (wanted(found) || Date.now() > until) return found;
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** How many there are, once there are as many as `wanted`. */
export const count = (locator, wanted) => becomes(() => locator.count(), (found) => found === wanted);

/** Whether it is to be seen, now or soon. */
export const seen = (locator) => locator.first().waitFor().then(() => true, () => false);

/** What is written a moment after what it is about: the page is loaded anew until it has it. */
export async function written(page, locator) {
  const until = Date.now() + 2 * PATIENCE;
  while (!(await locator.waitFor({ timeout: 10_000 }).then(() => true, () => false))) {
    if (Date.now() > until) throw new Error(`${locator} is not there, however often the page is loaded`);
    await page.reload();
  }
}

/** How long a sound is, in seconds, once the browser knows; `again` asks for one that was not there yet. */
export async function secondsOf(audio, again) {
  const known = async (element) => {
    for (let i = 0; i < 100 && !(element.duration > 0); i++) await new Promise((done) => setTimeout(done, 100));
    return element.duration;
  };
  const until = Date.now() + PATIENCE;
  for (;;) {
    const seconds = await audio.evaluate(known, undefined, { timeout: 10_000 }).catch(() => Number.NaN);
    if (seconds > 0 || Date.now() > until) return seconds;
    await again();
  }
}

async function levelOf(page, name) {
  return Number(await page.evaluate((key) => document.getElementById("main")?.dataset[key] ?? "0", name).catch(() => "0"));
}

/** Waits until a level shown by `<main>` is above `level`; gives the largest. */
export async function heard(page, name = "heardLevel", level = AUDIBLE) {
  let most = 0;
  const look = async () => (most = Math.max(most, await levelOf(page, name)));
  await becomes(look, () => most > level);
  return most;
}

/** The same after the page was loaded anew: the browser may want a click before it plays anything. */
export async function heardAgain(page) {
  const blocked = page.getByRole("button", { name: "Turn the sound on" });
  let most = 0;
  const look = async () => {
    if (await blocked.isVisible()) await blocked.click({ timeout: 1_000 }).catch(() => undefined);
    most = Math.max(most, await levelOf(page, "heardLevel"));
  };
  await becomes(look, () => most > AUDIBLE);
  return most;
}

/** Largest of a level shown by `<main>` within `ms`. */
async function loudest(page, name, ms) {
  const until = Date.now() + ms;
  let most = 0;
  while (Date.now() < until) {
    most = Math.max(most, await levelOf(page, name));
    await page.waitForTimeout(100);
  }
  return most;
}

/** Waits for a stretch of `ms` in which nothing is heard, longer than a voice pauses; gives the largest level of the last one. */
export function silence(page, ms = 1_500) {
  return becomes(() => loudest(page, "heardLevel", ms), (most) => most < SILENT);
}

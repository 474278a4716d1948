// How much jumps on the wallboard while calls come, go and move on: the simulated desk runs, and layout shifts are counted.
//
//   WARMLINE_BIN=target/debug/warmline node calm.mjs [CHANGES]     until calls have changed so often (12)
//
// Prints one JSON object; the largest shifts follow, with what moved. Web Vitals call 0.1 good.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";

import { becomes, openBrowser } from "./browser.mjs";
import { openDay } from "./simulate.mjs";
import { voice, wav } from "./voice.mjs";

const wanted = Number(process.argv[2] ?? 12);
const folder = await mkdtemp(join(tmpdir(), "warmline-calm-"));
const microphone = join(folder, "voice.wav");
await writeFile(microphone, wav(voice(2_000, 150, 48_000), 48_000));
const { url, name, password, stop } = await openDay(folder);
const { page, close } = await openBrowser({ microphone });
try {
  await page.goto(`${url}/agent`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByLabel("Password").press("Enter");
  await page.locator(".desk").waitFor();
  // From the first paint on: also what comes in after the page does not push what is there.
  await page.addInitScript(() => {
    window.shifted = [];
    new PerformanceObserver((list) => {
      for (const { value, hadRecentInput, sources } of list.getEntries()) {
        const what = sources.map(({ node }) => node?.className ?? node?.nodeName ?? "").join(" ");
        if (!hadRecentInput) window.shifted.push({ value, what });
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(`${url}/wallboard`);
  await page.locator(".live-call").nth(2).waitFor();
  const stages = () => page.locator(".live-call").evaluateAll((rows) => rows.map((row) => row.dataset.stage).join(" "));
  let [changes, last] = [0, await stages()];
  await becomes(
    async () => {
      const now = await stages();
      if (now !== last) [changes, last] = [changes + 1, now];
      return changes;
    },
    (count) => count >= wanted,
  );
  const shifted = await page.evaluate(() => window.shifted);
  const value = shifted.reduce((sum, each) => sum + each.value, 0);
  console.log(JSON.stringify({ bench: "wallboard", metric: "layout_shift", value: Number(value.toFixed(4)), unit: "score", n: changes, load: Number(loadavg()[0].toFixed(2)) }));
  for (const each of shifted.sort((a, b) => b.value - a.value).slice(0, 5)) console.log(`${each.value.toFixed(4)} ${each.what}`);
} finally {
  await close();
  stop();
  await rm(folder, { recursive: true, force: true });
}

// How smooth the wallboard is with a full house.
//
//   node frames.mjs [CALLS] [SECONDS]     200 calls for 30 s, of which a tenth changes with every look, against mock.mjs
//
// Prints one JSON object a metric: times between frames, frames that came late by more than one, the longest task of the
// page's script. In a headless Chromium a frame is due every 16.7 ms.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { openBrowser } from "./browser.mjs";
import { voice, wav } from "./voice.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const [calls, seconds] = [Number(process.argv[2] ?? 200), Number(process.argv[3] ?? 30)];
const folder = await mkdtemp(join(tmpdir(), "warmline-frames-"));
const microphone = join(folder, "voice.wav");
await writeFile(microphone, wav(voice(2_000, 150, 48_000), 48_000));
const mock = spawn(process.execPath, [join(here, "mock.mjs"), "0"], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, MOCK_CALLS: String(calls) } });
const url = String(await new Promise((resolve) => mock.stdout.once("data", resolve))).trim();
const { page, close } = await openBrowser({ microphone });
try {
  await page.goto(`${url}/agent`);
  await page.getByLabel("Name").fill("sam");
  await page.getByLabel("Password").fill("desk-password");
  await page.getByLabel("Password").press("Enter");
  await page.locator(".desk").waitFor();
  await page.goto(`${url}/wallboard`);
  await page.waitForFunction((wanted) => document.querySelectorAll(".live-call").length === wanted, calls);
  await page.waitForTimeout(3_000);
  const load = loadavg()[0];
  const { gaps, tasks, shifts } = await page.evaluate(
    (ms) =>
      new Promise((resolve) => {
        const gaps = [];
        const tasks = [];
        let shifts = 0;
        new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => tasks.push(duration))).observe({ type: "longtask" });
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => (shifts += entry.hadRecentInput ? 0 : entry.value))).observe({ type: "layout-shift" });
        const began = performance.now();
        let last = began;
        requestAnimationFrame(function next(now) {
          gaps.push(now - last);
          last = now;
          if (now - began < ms) requestAnimationFrame(next);
          else resolve({ gaps: gaps.slice(1), tasks, shifts });
        });
      }),
    seconds * 1_000,
  );
  gaps.sort((a, b) => a - b);
  const at = (share) => gaps[Math.min(gaps.length - 1, Math.floor(share * gaps.length))];
  const say = (metric, value, unit) => console.log(JSON.stringify({ bench: "wallboard", metric, value: Number(value.toFixed(4)), unit, n: gaps.length, calls, load: Number(load.toFixed(2)) }));
  say("frame_ms_p50", at(0.5), "ms");
  say("frame_ms_p99", at(0.99), "ms");
  say("frame_ms_max", gaps.at(-1), "ms");
  // One frame late is what a busy machine does to anybody; two in a row are seen.
  say("dropped_rate", gaps.filter((gap) => gap > 34).length / gaps.length, "ratio");
  say("long_tasks", tasks.length, "count");
  say("longest_task_ms", Math.max(0, ...tasks), "ms");
} finally {
  await close();
  mock.kill();
  await rm(folder, { recursive: true, force: true });
}

// Nothing jumps on the wallboard while calls come, go and move on: the simulated desk runs, and layout shifts are counted.

import { becomes } from "./browser.mjs";
import { openDay } from "./simulate.mjs";

/** What Web Vitals calls good, in all. */
const MOST = 0.1;
/** Changes of calls that are waited for. */
const CHANGES = 12;

export async function calm({ folder, page, check, shot }) {
  const { url, name, password, stop } = await openDay(folder);
  try {
    await page.goto(`${url}/agent`);
    await page.getByLabel("Name").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByLabel("Password").press("Enter");
    await page.locator(".desk").waitFor();
    // From the first paint on: also what comes in after the page does not push what is there.
    await page.addInitScript(() => {
      window.shifted = { total: 0, worst: [] };
      new PerformanceObserver((list) => {
        for (const { value, hadRecentInput, sources } of list.getEntries()) {
          if (hadRecentInput) continue;
          window.shifted.total += value;
          window.shifted.worst.push([value, sources.map(({ node }) => node?.className ?? node?.nodeName ?? "").join(" ")]);
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto(`${url}/wallboard`);
    await page.locator(".live-call").nth(2).waitFor();
    const stages = () => page.locator(".live-call").evaluateAll((rows) => rows.map((row) => row.dataset.stage).join(" "));
    let [changes, last] = [0, await stages()];
    const seen = await becomes(
      async () => {
        const now = await stages();
        if (now !== last) [changes, last] = [changes + 1, now];
        return changes;
      },
      (count) => count >= CHANGES,
    );
    const { total, worst } = await page.evaluate(() => window.shifted);
    worst.sort(([a], [b]) => b - a);
    const told = worst.slice(0, 3).map(([value, what]) => `${value.toFixed(4)} ${what}`);
    check("the wallboard lies still while the simulated day runs", seen >= CHANGES && total < MOST, `layout shift ${total.toFixed(4)} in ${seen} changes${told.length === 0 ? "" : `: ${told.join("; ")}`}`);
    await shot(page, "41-simulated-day");
  } finally {
    stop();
  }
}

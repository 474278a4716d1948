// Every page and state at phone width and in the dark, against the mock: screenshots to look at, and checks that nothing
// is wider than the screen, nothing complains, and axe finds nothing serious (WCAG 2.2 A and AA).
//
//   node gallery.mjs [LOOK]     LOOK: phone, phone-dark, dark, small or laptop; screenshots go to $SHOTS (default: shots)
//   node gallery.mjs docs       the pictures of the documentation, light and dark, into docs/images

import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { barriers, overflow, still } from "./barriers.mjs";
import { openBrowser, untilMain } from "./browser.mjs";
import { voice, wav } from "./voice.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const shots = process.env.SHOTS ?? join(here, "shots");
const LOOKS = [
  { name: "phone", size: { width: 390, height: 844 }, dark: false },
  { name: "phone-dark", size: { width: 390, height: 844 }, dark: true },
  { name: "dark", size: { width: 1280, height: 860 }, dark: true },
  { name: "small", size: { width: 320, height: 568 }, dark: false },
  { name: "laptop", size: { width: 1024, height: 640 }, dark: false },
  { name: "docs", size: { width: 1280, height: 800 }, dark: false },
  { name: "docs", size: { width: 1280, height: 800 }, dark: true },
];
const IMAGES = fileURLToPath(new URL("../../docs/images/", import.meta.url));
/** What the documentation shows; the other states are for whoever works on the pages. */
const DOCUMENTED = ["landing", "call", "available", "offer", "talk", "wrap-up", "calls", "detail-top", "messages", "knowledge", "engines", "people", "wallboard", "queues", "scenario", "editor", "setup", "settings", "hours", "keys", "shifts"];

let failures = 0;
await mkdir(shots, { recursive: true });
const folder = await mkdtemp(join(tmpdir(), "warmline-voice-"));
const microphone = join(folder, "voice.wav");
await writeFile(microphone, wav(voice(8_000, 150, 48_000), 48_000));
const only = process.argv[2];
for (const look of LOOKS.filter(({ name }) => (only === undefined ? name !== "docs" : name === only))) await tour(look);
await rm(folder, { recursive: true, force: true });
console.log(failures === 0 ? "all fit, no barriers" : `${failures} problems`);
process.exitCode = failures === 0 ? 0 : 1;

/** The pages that an administrator sees more of than an agent. */
async function asAdministrator(page, url, shot) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Name").fill("sam");
  await page.getByLabel("Password").fill("desk-password");
  await page.getByLabel("Password").press("Enter");
  await page.locator(".desk").waitFor();
  await page.goto(`${url}/calls`);
  await page.locator(".row-link").nth(1).click();
  await page.locator(".timeline canvas").first().waitFor();
  await page.waitForTimeout(800);
  await shot(page, "detail-top");
  await page.getByRole("button", { name: "Turn this into a test" }).click();
  await page.getByLabel("Scenario (YAML)").waitFor();
  await shot(page, "scenario");
  await page.keyboard.press("Escape");
  await page.goto(`${url}/knowledge`);
  await page.getByPlaceholder("When are you open on Saturday?").fill("Are you open on Saturday?");
  await page.locator(".hits").waitFor();
  await shot(page, "knowledge");
  await page.goto(`${url}/knowledge/opening-hours`);
  await page.getByRole("button", { name: "Try" }).click();
  await page.locator(".tried").nth(1).waitFor();
  await shot(page, "editor");
  await page.goto(`${url}/setup`);
  await page.getByRole("button", { name: "Check" }).click();
  await page.locator(".findings li").nth(4).waitFor();
  await shot(page, "setup");
  await page.goto(`${url}/configuration`);
  await page.locator(".settings .card").nth(3).waitFor();
  await shot(page, "settings");
  await page.getByRole("button", { name: "Change office" }).click();
  await page.getByLabel("Saturday").fill("9-13");
  await page.getByText("must be hours such as").waitFor();
  await shot(page, "hours-wrong");
  await page.getByLabel("Saturday").fill("09:00-13:00");
  await page.locator(".open-days").waitFor();
  await shot(page, "hours");
  await page.locator(".open-days").scrollIntoViewIfNeeded();
  await shot(page, "hours-tried");
  await page.goto(`${url}/shifts`);
  await page.locator(".plan-shift").waitFor();
  await shot(page, "shifts");
  await page.locator(".plan-shift").scrollIntoViewIfNeeded();
  await shot(page, "shifts-plan");
  await page.goto(`${url}/people`);
  await page.locator(".person-row").first().waitFor();
  await page.getByLabel("Name").fill("robin");
  await page.getByRole("button", { name: "Make account" }).click();
  await page.getByText("amber-plinth-47").waitFor();
  await shot(page, "people");
  await page.getByLabel("What it is for").fill("Door display");
  await page.getByRole("button", { name: "Make key" }).click();
  await page.locator(".made-key").waitFor();
  await page.getByText("key that is good no more").click();
  await page.locator(".keys").evaluate((section) => section.scrollIntoView());
  await shot(page, "keys");
  await page.goto(`${url}/wallboard`);
  await page.locator(".live-call").first().waitFor();
  await page.getByRole("button", { name: "Show", exact: true }).first().click();
  await shot(page, "wallboard-reveal");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Listen" }).nth(3).click();
  await page.locator(".supervising .line").nth(2).waitFor();
  await page.waitForTimeout(1_200);
  await page.evaluate(() => window.scrollTo(0, 0));
  await shot(page, "wallboard");
  await page.getByRole("button", { name: "Change orders" }).click();
  await page.locator(".queues").evaluate((section) => section.scrollIntoView({ block: "center" }));
  await shot(page, "queues");
  await page.goto(`${url}/engines`);
  await page.locator(".engine").first().waitFor();
  // Long enough for curves, where they are to be looked at.
  if (only === "docs") await page.waitForTimeout(16_000);
  await shot(page, "engines");
}

async function tour({ name, size, dark }) {
  const mock = spawn(process.execPath, [join(here, "mock.mjs"), "0"], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, MOCK_OFFER_MS: "3000", MOCK_WRAP_MS: "600000" } });
  const url = String(await new Promise((resolve) => mock.stdout.once("data", resolve))).trim();
  const browsers = [await openBrowser({ microphone, size, dark }), await openBrowser({ microphone, size, dark })];
  const [caller, agent] = browsers.map((each) => each.page);
  const make = (what) => fetch(`${url}/mock/${what}`);
  const shot = async (page, state) => {
    await still(page);
    const wide = await overflow(page);
    if (wide !== "") {
      failures += 1;
      console.log(`${name} ${state}: wider than the screen by ${wide}`);
    }
    for (const finding of await barriers(page)) {
      failures += 1;
      console.log(`${name} ${state}: ${finding}`);
    }
    if (name !== "docs") await page.screenshot({ path: join(shots, `${name}-${state}.png`) });
    else if (DOCUMENTED.includes(state)) await page.screenshot({ path: join(IMAGES, `console-${state}-${dark ? "dark" : "light"}.png`) });
  };
  try {
    await caller.goto(url);
    await shot(caller, "landing");
    await agent.goto(`${url}/agent`);
    await agent.getByLabel("Name").fill("newby");
    await agent.getByLabel("Password").fill("one-time");
    await agent.getByLabel("Password").press("Enter");
    await agent.getByText("Choose a password").waitFor();
    await shot(agent, "password");
    await agent.getByLabel("Password you were given").fill("one-time");
    await agent.getByLabel("New password", { exact: true }).fill("desk-password-2");
    await agent.getByLabel("New password again").fill("desk-password-2");
    await agent.getByRole("button", { name: "Save password" }).click();
    await untilMain(agent, "up", (data) => data.link === "up");
    await agent.getByText("Sound and keys").click();
    await agent.getByRole("button", { name: "Test", exact: true }).click();
    await agent.waitForTimeout(500);
    await shot(agent, "sound");
    await agent.getByRole("button", { name: "Stop" }).click();
    await agent.getByText("Sound and keys").click();
    await agent.getByRole("button", { name: "Available", exact: true }).click();
    await untilMain(agent, "available", (data) => data.state === "available");
    await shot(agent, "available");
    await make("offer");
    await untilMain(agent, "missed", (data) => data.phase === "missed");
    await shot(agent, "missed");
    await make("caller-hangs-up");
    await agent.getByRole("button", { name: "I’m back" }).click();
    // From here on an offer waits until it was looked at.
    await make("offers?ms=600000");
    await caller.getByRole("button", { name: "Call", exact: true }).click();
    await untilMain(caller, "live", (data) => data.phase === "live");
    await caller.locator('.line[data-who="caller"][data-final="true"]').first().waitFor();
    await caller.waitForTimeout(1_200);
    await shot(caller, "call");
    await caller.getByRole("button", { name: "Talk to a person" }).click();
    await untilMain(agent, "offer", (data) => data.phase === "offer");
    await agent.waitForTimeout(400);
    await shot(agent, "offer");
    await agent.getByRole("button", { name: "Accept" }).click();
    await untilMain(agent, "call", (data) => data.phase === "call");
    await agent.waitForTimeout(5_000);
    await shot(agent, "talk");
    await shot(caller, "person");
    const keys = caller.getByRole("button", { name: "Keypad" });
    if (await keys.isVisible()) {
      await keys.click();
      await shot(caller, "keys");
    }
    await caller.getByRole("button", { name: "Hang up" }).click();
    await untilMain(agent, "wrap-up", (data) => data.phase === "wrap_up");
    await shot(agent, "wrap-up");
    await shot(caller, "ended");
    await agent.goto(`${url}/calls`);
    await agent.locator(".records tbody tr").first().waitFor();
    await shot(agent, "calls");
    await agent.locator(".row-link").nth(1).click();
    await agent.locator(".turn").first().waitFor();
    await agent.waitForTimeout(300);
    await shot(agent, "detail-agent");
    await agent.goto(`${url}/messages`);
    await agent.locator(".message").first().waitFor();
    await agent.waitForTimeout(300);
    await shot(agent, "messages");
    await agent.goto(`${url}/shifts`);
    await agent.locator(".person-row").first().waitFor();
    await shot(agent, "shifts-agent");
    await agent.goto(`${url}/agent`);
    await agent.getByRole("button", { name: "Choose a number" }).click();
    await agent.locator(".telephone").scrollIntoViewIfNeeded();
    await shot(agent, "telephone");
    await asAdministrator(agent, url, shot);
    for (const { problems } of browsers) {
      failures += problems.length;
      for (const problem of problems) console.log(`${name}: ${problem}`);
    }
  } catch (error) {
    failures += 1;
    console.log(`${name}: ${error.message}`);
    await agent.screenshot({ path: join(shots, `${name}-failed-agent.png`) });
    await caller.screenshot({ path: join(shots, `${name}-failed-caller.png`) });
  } finally {
    for (const browser of browsers) await browser.close();
    mock.kill();
  }
}

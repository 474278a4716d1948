// Journeys of a whole desk, with people at it: two agents and one offer, a supervisor who joins, a tab that is loaded anew
// in a call, the review of that call, a colleague who is asked, joins and is given the caller, a caller who is parked, one who
// is given to a telephone outside, an agent at a telephone, a voice message, a key for a program, opening hours that are
// changed, the address check, and the call button on two web sites.
//
//   WARMLINE_BIN=target/debug/warmline node journeys.mjs
//
// Starts that server on a free port with a folder of its own and no models: keys work without, and a journey that needs
// none is the same each time. Prints a line a check; exit 1 on failure. SHOTS: folder for screenshots (default: shots).

import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { AUDIBLE, SILENT, becomes, count, firstMain, heard, heardAgain, openBrowser, secondsOf, seen, silence, untilMain, written } from "./browser.mjs";
import { openSite, widgetJourney } from "./sites.mjs";
import { TELEPHONES, atTelephone, outside } from "./telephones.mjs";
import { Twilio } from "./twilio.mjs";
import { voice, wav } from "./voice.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const shots = process.env.SHOTS ?? join(here, "shots");
const PASSWORD = "correct horse battery";

let passed = 0;
const failures = [];

function check(name, condition, detail = "") {
  if (condition) passed += 1;
  else failures.push(name);
  console.log(`${condition ? "ok    " : "FAILED"} ${name}${detail === "" ? "" : ` (${detail})`}`);
}

const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A server without a model, whose callers are offered to two agents at once. */
async function startServer(folder, origins, twilio) {
  const url = `http://127.0.0.1:${await freePort()}`;
  const knowledge = join(folder, "knowledge");
  await cp(fileURLToPath(new URL("../../knowledge", import.meta.url)), knowledge, { recursive: true });
  const config = join(folder, "warmline.toml");
  await writeFile(
    config,
    `[server]\nlisten = "${url.slice(7)}"\npublic_url = "${url}"\ndata_dir = "${join(folder, "data")}"\n` +
      `[stt]\nengine = "off"\n[llm]\nengine = "off"\n[vad]\nengine = "energy"\n[tts]\nengine = "program"\n` +
      `[dialog]\nembedding = ""\nknowledge_dir = "${knowledge}"\n` +
      `[browser]\nwidget_origins = ${JSON.stringify(origins)}\n[review]\nscenarios_dir = "${join(folder, "scenarios")}"\n` +
      // Nothing runs out by itself here, however long pages and pictures take.
      `${twilio.section}[handoff]\n${TELEPHONES}offer_timeout_s = 300\nresume_s = 120\nwrap_up_s = 3600\n[[routing.queues]]\nname = "main"\nparallel = 2\n`,
  );
  const child = spawn(process.env.WARMLINE_BIN, ["serve", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const log = [];
  child.stderr.on("data", (data) => log.push(String(data)));
  const password = await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${log.join("").slice(-2_000)}`)));
    child.stdout.on("data", (data) => {
      said += data;
      const found = /First administrator +(\S+), one-time password (\S+)/.exec(said);
      if (found !== null) resolve({ name: found[1], password: found[2] });
    });
  });
  const ready = () => fetch(`${url}/readyz`).then((answer) => answer.ok, () => false);
  if (!(await becomes(ready, (is) => is))) throw new Error(`the server is not ready: ${log.join("").slice(-2_000)}`);
  return { url, admin: password, stop: () => child.kill(), log };
}

/** Accounts of people, made by the administrator. */
async function makeAccounts(url, { name, password }) {
  const ask = async (method, path, body, cookie = "") => {
    const headers = { "Content-Type": "application/json", cookie };
    const answer = await fetch(`${url}/api/v1/${path}`, { method, headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return { json: await answer.json(), cookie: answer.headers.getSetCookie().map((each) => each.split(";")[0]).join("; ") };
  };
  const settle = async (account) => {
    const { cookie } = await ask("POST", "session", account);
    return (await ask("POST", "password", { old: account.password, new: PASSWORD }, cookie)).cookie;
  };
  const admin = await settle({ name, password });
  for (const [person, role] of [["ann", "agent"], ["ben", "agent"], ["sue", "admin"]]) {
    const made = await ask("POST", "users", { name: person, role }, admin);
    await settle({ name: person, password: made.json.one_time_password });
  }
}

async function signIn(page, url, name) {
  await page.goto(`${url}/agent`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByLabel("Password").press("Enter");
  await untilMain(page, `${name}'s desk connects`, (data) => data.link === "up");
}

const choose = async (page, state) => {
  await page.getByRole("button", { name: state, exact: true }).click();
  await untilMain(page, state, (data) => data.state === state.toLowerCase());
};

async function call(caller, url) {
  await caller.goto(url);
  await caller.getByRole("button", { name: "Call", exact: true }).click();
  await untilMain(caller, "the call connects", (data) => data.phase === "live");
  await caller.locator('.line[data-who="assistant"]').first().waitFor();
}

/** What is said before the notice was heard is not recorded. */
async function untilRecorded(caller) {
  await caller.locator(".line", { hasText: "This call is recorded" }).first().waitFor();
  await untilHeard(caller);
}

/** A sentence that has just begun is over: its mark was played. On a page that was slow to show it, that may have been before. */
async function untilHeard(caller) {
  const { marksPlayed } = (await untilMain(caller, "marks come back", () => true)).data;
  await untilMain(caller, "the sentence was heard", (data) => Number(data.marksPlayed) > Number(marksPlayed), 15_000).catch(() => undefined);
}

/** Which of `pages` shows a notice first. It goes by itself, so that it is looked for before it comes. */
function firstTold(pages, text) {
  const first = Promise.race(pages.map((page) => page.getByText(text).first().waitFor().then(() => page)));
  first.catch(() => undefined); // It is told where it is awaited.
  return first;
}

/** One offer, two who accept it in the same moment. */
async function race(url, { caller, ann, ben }) {
  await choose(ann, "Available");
  await choose(ben, "Available");
  await call(caller, url);
  await untilRecorded(caller);
  await caller.locator("body").press("0");
  await Promise.all([ann, ben].map((each) => untilMain(each, "the offer", (data) => data.phase === "offer")));
  check("two agents are offered the same caller", true);
  const told = firstTold([ann, ben], "given to somebody else");
  // By the pages' own clocks: a click from here waits for the card to lie still, and the other would have won by then.
  const moment = Date.now() + 500;
  const accept = (at) => setTimeout(() => document.querySelector("#accept")?.click(), at - Date.now());
  await Promise.all([ann, ben].map((each) => each.evaluate(accept, moment)));
  const winner = await firstMain([ann, ben], "the call", (data) => data.phase === "call");
  const loser = winner === ann ? ben : ann;
  await untilMain(loser, "the other is free again", (data) => data.phase === "idle" && data.state === "available");
  check("exactly one has the caller, the other is free again", true, winner === ann ? "ann won" : "ben won");
  check("and is told that somebody else has them", (await told) === loser);
  check("the caller hears the winner", (await heard(caller)) > AUDIBLE);
  await shot(loser, "30-race-lost");
  return { winner, loser };
}

/** A supervisor joins: while the agent is muted, the caller hears the supervisor. */
async function barge(url, { caller, sue, winner }) {
  await sue.goto(`${url}/wallboard`);
  await winner.locator("body").press("m");
  check("the caller hears nobody while the agent is muted", (await silence(caller)) < SILENT);
  const row = sue.locator('.live-call[data-stage="agent"]').first();
  await row.getByRole("button", { name: "Listen" }).click();
  await sue.locator(".supervising").waitFor();
  check("nor a supervisor who listens", (await silence(caller)) < SILENT);
  check("the agent is told", await seen(winner.getByText("sue listens to this call")));
  await sue.getByRole("button", { name: "Whisper" }).click();
  await sue.getByText("Only the agent hears you.").waitFor();
  await sue.waitForTimeout(500);
  check("whispering reaches the agent", (await heard(winner)) > AUDIBLE);
  check("and not the caller", (await silence(caller)) < SILENT);
  await sue.getByRole("button", { name: "Join" }).click();
  await sue.waitForTimeout(500);
  check("joining reaches the caller", (await heard(caller)) > AUDIBLE);
  await shot(sue, "31-barge");
  await sue.getByRole("button", { name: "Stop listening" }).or(sue.locator(".supervising .button").last()).first().click();
  await winner.locator("body").press("m");
}

/** The agent's tab is loaded anew in the call. */
async function reload({ caller, winner }) {
  winner.once("dialog", (dialog) => dialog.accept());
  await winner.reload();
  const back = await untilMain(winner, "the call is back", (data) => data.phase === "call");
  check("a tab that is loaded anew has its call again", true, `${back.ms} ms`);
  check("and both hear each other", (await heardAgain(winner)) > AUDIBLE && (await heard(caller)) > AUDIBLE);
  await winner.locator("#end").click();
  await untilMain(winner, "wrap-up", (data) => data.phase === "wrap_up");
  await winner.locator(".option").first().click();
  await winner.getByLabel("Note").fill("Wanted to know about a parcel.");
  await winner.getByRole("button", { name: "Save and finish" }).click();
  await untilMain(winner, "wrap-up is over", (data) => data.state === "available");
}

/** The call that was just made, afterwards. */
async function review(url, { sue }) {
  await sue.goto(`${url}/calls`);
  // The last word is said, and written, a moment after the agent has ended the call.
  await sue.locator(".records tbody tr").first().locator(".tag", { hasText: "Spoke with a person" }).waitFor();
  await sue.locator(".row-link").first().click();
  await written(sue, sue.getByText("Pressed 0 for a person").first());
  check("the call just made is drawn in time", (await count(sue.locator(".timeline canvas"), 3)) === 3);
  check("and says why a person came", true);
  const seconds = await secondsOf(sue.locator("audio"), () => sue.reload());
  check("its recording plays", seconds > 3, `${seconds.toFixed(1)} s`);
  const parts = sue.locator(".score");
  check("assistant and agent are scored on one rubric", (await count(parts, 2)) === 2);
  for (const row of [0, 1, 2, 3]) await parts.nth(1).locator("fieldset").nth(row).getByRole("radio", { name: "5" }).check();
  await parts.nth(1).getByRole("button", { name: "Save points" }).click();
  await parts.nth(1).getByText("The points are saved.").waitFor();
  await sue.reload();
  await parts.nth(1).locator(".tag", { hasText: "5.0 of 5" }).waitFor();
  check("points are there after a reload", true);
  await sue.getByRole("button", { name: "Turn this into a test" }).click();
  const yaml = sue.getByLabel("Scenario (YAML)");
  await yaml.waitFor();
  check("the call is a scenario with the key that was pressed", (await yaml.inputValue()).includes('dtmf: "0", handoff: caller_pressed_zero'));
  await sue.getByRole("button", { name: "Keep with the tests" }).click();
  await sue.getByText("Kept as").waitFor();
  check("which is kept with the tests", true);
  await shot(sue, "32-review");
  await sue.keyboard.press("Escape");
}

/** The note after a call. */
async function finish(page, state = "available") {
  await untilMain(page, "wrap-up", (data) => data.phase === "wrap_up");
  await page.locator(".option").first().click();
  await page.getByLabel("Note").fill("Done.");
  await page.getByRole("button", { name: "Save and finish" }).click();
  await untilMain(page, "wrap-up is over", (data) => data.phase === "idle" && data.state === state);
}

/** A colleague is asked, all three speak, the caller is given to the colleague, and from there on again: all by the buttons. */
async function colleagues(url, { caller, ann, ben, sue }) {
  await call(caller, url);
  await untilRecorded(caller);
  await caller.locator("body").press("0");
  await untilMain(ann, "the offer", (data) => data.phase === "offer");
  await ann.locator("#accept").click();
  await untilMain(ann, "the call", (data) => data.phase === "call");
  await untilMain(ben, "the other is free", (data) => data.phase === "idle" && data.state === "available");

  await ann.locator("#consult").click();
  await ann.locator(".people").getByRole("button", { name: "ben" }).click();
  await untilMain(ben, "the question", (data) => data.phase === "offer");
  check("a colleague is asked by name, and sees by whom", await seen(ben.getByText("ann asks for your advice")));
  await ben.locator("#accept").click();
  await ann.getByText("You and ben hear each other. The caller hears music.").waitFor();
  check("the two hear each other", (await heard(ann)) > AUDIBLE && (await heard(ben)) > AUDIBLE);
  await ann.getByRole("button", { name: "All three" }).click();
  await ann.getByText("You, ben and the caller hear each other.").waitFor();
  await ann.locator("#mute").click();
  await ann.waitForTimeout(1_000);
  check("in the conference the caller hears the colleague", (await heard(caller)) > AUDIBLE);
  check("and the colleague hears the caller", (await heard(ben)) > AUDIBLE);
  await ann.locator("#mute").click();
  await shot(ann, "34-conference");
  await ann.locator("#complete").click();
  await ben.locator("#transfer").waitFor();
  await untilMain(ann, "the first is done", (data) => data.phase === "wrap_up");
  check("the caller is given to the colleague", (await heard(caller)) > AUDIBLE);
  await finish(ann);

  await ben.locator("#transfer").click();
  await ben.locator(".people").getByRole("button", { name: "ann" }).click();
  await untilMain(ann, "the caller is offered on", (data) => data.phase === "offer");
  await ann.locator("#accept").click();
  await untilMain(ann, "the caller is ann's again", (data) => data.phase === "call");
  await finish(ben);
  check("the caller is given on, and heard there", (await heard(ann)) > AUDIBLE);
  await ann.locator("#park").click();
  await untilMain(ann, "the caller is parked", (data) => data.phase === "wrap_up");
  const parked = ben.locator("section", { has: ben.getByRole("heading", { name: "Parked callers" }) });
  await parked.getByText("parked by ann").waitFor();
  check("a parked caller is seen by colleagues", true);
  await finish(ann);
  await shot(ben, "34-parked");
  await parked.getByRole("button", { name: "Pick up" }).click();
  await untilMain(ben, "the caller is picked up", (data) => data.phase === "call");
  check("and picked up, heard by both", (await heard(ben)) > AUDIBLE && (await heard(caller)) > AUDIBLE);
  await ben.locator("#end").click();
  await finish(ben);

  await sue.goto(`${url}/calls`);
  await sue.locator(".records tbody tr").first().locator(".tag", { hasText: "Spoke with a person" }).waitFor();
  await sue.locator(".row-link").first().click();
  await written(sue, sue.locator(".party-steps li").nth(4));
  const steps = await sue.locator(".party-steps li > span:last-child").allInnerTexts();
  const wanted = ["ann takes the caller.", "ann asks ben for advice.", "All three hear each other.", "ann gives the caller to ben."];
  // Whether the caller was in nobody's hands in between depends on how soon the offer was accepted.
  const given = steps[4] === "ben gives the caller to ann." || steps[4] === "ben gives the caller on.";
  check("the review tells who was on the line when", given && wanted.every((step, i) => steps[i] === step), steps.join(" "));
  const [sound] = await Promise.all([sue.waitForEvent("download"), sue.getByRole("link", { name: "The recording, masked" }).click()]);
  check("and gives the recording, masked", (await readFile(await sound.path())).length > 44, sound.suggestedFilename());
  await shot(sue, "35-parties");
}

/** A key for a program: made at the page, used by a program, seen to be used, revoked. */
async function keys(url, { sue }) {
  await sue.goto(`${url}/people`);
  await sue.getByLabel("What it is for").fill("Report");
  await sue.locator("#key-role").selectOption("supervisor");
  await sue.getByRole("button", { name: "Make key" }).click();
  const token = await sue.locator(".made-key pre").innerText();
  const ask = (path, method = "GET") => fetch(`${url}/api/v1/${path}`, { method, headers: { Authorization: `Bearer ${token}` } });
  check("a key opens what its role may see", (await ask("calls")).status === 200);
  check("and nothing more", (await ask("users")).status === 403);
  await sue.reload();
  const row = sue.locator('[data-key="good"]').filter({ hasText: "Report" });
  await row.getByText("Last used: ").waitFor();
  check("its use is seen, the key itself not any more", !(await sue.content()).includes(token));
  await row.getByRole("button", { name: "Revoke" }).click();
  await row.getByRole("button", { name: "Yes" }).click();
  await row.waitFor({ state: "detached" });
  check("revoked it opens nothing", (await ask("calls")).status === 401);
}

/** Hours are changed at the page, and a caller is told so although somebody is there. */
async function hours(url, { caller, ann, sue }) {
  await sue.goto(`${url}/configuration`);
  await sue.getByRole("button", { name: "Give hours to main" }).click();
  for (const day of ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]) await sue.getByLabel(day).fill("00:00-24:00");
  await sue.getByText("With these hours: open now").waitFor();
  // Yesterday and tomorrow, too, so that neither midnight nor another zone changes anything.
  for (const offset of [-1, 0, 1]) {
    const date = await sue.evaluate((days) => {
      const time = new Date(Date.now() + days * 86_400_000);
      return `${time.getFullYear()}-${String(time.getMonth() + 1).padStart(2, "0")}-${String(time.getDate()).padStart(2, "0")}`;
    }, offset);
    await sue.getByRole("button", { name: "Add a day" }).click();
    await sue.locator(".special-days li").last().getByLabel("Day").fill(date);
  }
  await sue.getByText("With these hours: closed now").waitFor();
  check("holidays are tried before they are kept", true, await sue.locator(".hours-tried .notice").innerText());
  await sue.getByRole("button", { name: "Keep" }).click();
  await sue.locator(".hours .tag", { hasText: "Closed" }).waitFor();
  check("hours are in force", true);
  await shot(sue, "36-hours");
  await choose(ann, "Available");
  await call(caller, url);
  await caller.locator("body").press("0");
  await caller.locator(".line", { hasText: "press one to leave a message" }).first().waitFor();
  check("outside the hours callers are told so, although somebody is there", (await ann.locator("#main").getAttribute("data-phase")) === "idle");
  await caller.getByRole("button", { name: "Hang up" }).click();
  await sue.getByRole("button", { name: "Change main" }).click();
  await sue.getByRole("button", { name: "Remove these hours" }).click();
  await sue.getByRole("button", { name: "Yes" }).click();
  await sue.getByRole("button", { name: "Give hours to main" }).waitFor();
  check("and go again", true);
}

/** Nobody is there: the caller leaves a message, and somebody hears it. */
async function voicemail(url, { caller, ann, ben }) {
  await choose(ann, "Break");
  await choose(ben, "Break");
  await call(caller, url);
  await caller.locator("body").press("0");
  await caller.locator(".line", { hasText: "press one to leave a message" }).first().waitFor();
  check("a caller whom nobody can take is offered a message", true);
  await caller.locator("body").press("1");
  await caller.locator(".line", { hasText: "Please speak after the tone" }).first().waitFor();
  await untilHeard(caller);
  await caller.waitForTimeout(6_000);
  await caller.locator("body").press("#");
  await untilMain(caller, "the call is over", (data) => data.phase === "ended");
  await ann.goto(`${url}/messages`);
  const message = ann.locator(".message").first();
  await written(ann, message);
  const seconds = await secondsOf(message.locator("audio"), () => ann.reload());
  check("the message can be heard", seconds > 2, `${seconds.toFixed(1)} s`);
  await shot(ann, "33-voicemail");
  await ann.getByRole("button", { name: "Mark done" }).first().click();
  await ann.getByText("Nothing to do.").first().waitFor();
  check("and marked done", true);
}

/** What an operator does before the first call and between calls. */
async function operator(url, { sue }) {
  await sue.goto(`${url}/setup`);
  const checked = async () => {
    await sue.getByRole("button", { name: "Check" }).click();
    await sue.locator(".findings li").first().waitFor();
    return [await sue.locator(".findings li").count(), await sue.locator('.findings [data-ok="false"]').count()];
  };
  // On a busy machine it may not answer itself in time.
  const [findings, wrong] = await becomes(checked, ([findings, wrong]) => findings > 4 && wrong === 0);
  check("the server finds itself at its address, websockets too", findings > 4 && wrong === 0, `${findings} findings, ${wrong} wrong`);
  await sue.goto(`${url}/knowledge/new`);
  await sue.getByLabel("Short name").fill("parking");
  await sue.getByLabel("Entry", { exact: true }).last().fill(
    '+++\ntitle = "Parking"\nkeywords = ["parking"]\napproved = "You can park behind the shop for two hours."\nalso_asked = ["where can I park my car"]\n+++\nThere are forty places.\n',
  );
  await sue.getByLabel("Questions to try, one a line").fill("where can I park my car");
  await sue.getByRole("button", { name: "Try" }).click();
  await sue.locator(".tried blockquote", { hasText: "behind the shop" }).waitFor();
  check("a new entry is tried before it is in force", true, await sue.locator(".tried .notice").innerText());
  await sue.getByRole("button", { name: "Keep" }).click();
  await sue.waitForURL("**/knowledge/parking");
  check("and kept", (await sue.getByLabel("Entry", { exact: true }).last().inputValue()).includes("Parking"));
  await sue.goto(`${url}/configuration`);
  const listen = () => sue.getByRole("button", { name: "Listen" }).click();
  await listen();
  const spoken = await secondsOf(sue.locator("audio"), listen);
  check("a sentence can be heard as callers hear it", spoken > 0.5, `${spoken.toFixed(1)} s`);
}

async function main() {
  if (process.env.WARMLINE_BIN === undefined) throw new Error("WARMLINE_BIN must be the path of the program");
  await mkdir(shots, { recursive: true });
  const folder = await mkdtemp(join(tmpdir(), "warmline-journeys-"));
  const sites = [await openSite(), await openSite()];
  const twilio = await Twilio.open();
  const browsers = [];
  let server = null;
  try {
    server = await startServer(folder, [sites[0].origin], twilio);
    await makeAccounts(server.url, server.admin);
    for (const hz of [135, 210, 175, 250]) {
      const microphone = join(folder, `${hz}.wav`);
      await writeFile(microphone, wav(voice(8_000, hz, 48_000), 48_000));
      browsers.push(await openBrowser({ microphone }));
    }
    const [caller, ann, ben, sue] = browsers.map(({ page }) => page);
    const people = { caller, ann, ben, sue };
    await signIn(ann, server.url, "ann");
    await signIn(ben, server.url, "ben");
    await signIn(sue, server.url, "sue");
    Object.assign(people, await race(server.url, people));
    await barge(server.url, people);
    await reload(people);
    await review(server.url, people);
    await colleagues(server.url, people);
    await hours(server.url, people);
    await keys(server.url, people);
    const scene = { url: server.url, twilio, people, check, call, choose, finish, shot };
    await outside(scene);
    await atTelephone(scene);
    await voicemail(server.url, people);
    await operator(server.url, people);
    const untilCall = (frame) => frame.locator('#main[data-phase="live"]').waitFor();
    await widgetJourney({ url: server.url, named: sites[0], other: sites[1], context: caller.context(), check, shot, untilCall });
    for (const [i, { problems }] of browsers.entries()) check(`no errors in console ${i + 1}`, problems.length === 0, problems.join(" | "));
  } catch (error) {
    check("the journeys went to their end", false, error.message);
    for (const [i, { page }] of browsers.entries()) await page.screenshot({ path: join(shots, `journeys-failed-${i}.png`) }).catch(() => {});
    console.log(server?.log.join("").slice(-3_000) ?? "");
  } finally {
    await Promise.all(browsers.map((each) => each.close()));
    server?.stop();
    for (const site of sites) site.close();
    twilio.close();
    await rm(folder, { recursive: true, force: true });
  }
  console.log(`\n${passed} passed, ${failures.length} failed`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

await main();

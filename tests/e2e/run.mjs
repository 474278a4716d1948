// A call in one Chromium, an agent in another, through the pages people use.
//
//   node run.mjs                          against mock.mjs, started for the occasion
//   WARMLINE_URL=http://127.0.0.1:8080 WARMLINE_AGENT=admin WARMLINE_PASSWORD=… node run.mjs
//
// WARMLINE_SPEECH: WAV the caller says in a loop (default: a made-up voice). WARMLINE_NEW_PASSWORD: chosen when a first
// password must be changed. SHOTS: folder for screenshots (default: shots). Prints a line a check; exit 1 on failure.

import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { everyPage } from "./barriers.mjs";
import { AUDIBLE, SILENT, becomes, count, heard, heardAgain, openBrowser, secondsOf, seen, silence, untilMain, written } from "./browser.mjs";
import { echoJourney } from "./echo.mjs";
import { openSite, widgetJourney } from "./sites.mjs";
import { voice, wav } from "./voice.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const shots = process.env.SHOTS ?? join(here, "shots");
const isDisabled = (button) => becomes(() => button.isDisabled(), (is) => is);
const agentName = process.env.WARMLINE_AGENT ?? "dana";
const password = process.env.WARMLINE_PASSWORD ?? "desk-password";
/** Longer than a pause in the loop the caller says: the made-up voice hardly pauses, real speech does. */
const PAUSE_MS = process.env.WARMLINE_SPEECH === undefined ? 1_500 : 10_000;

let passed = 0;
const failures = [];

function check(name, condition, detail = "") {
  if (condition) passed += 1;
  else failures.push(name);
  console.log(`${condition ? "ok    " : "FAILED"} ${name}${detail === "" ? "" : ` (${detail})`}`);
}

async function main() {
  await mkdir(shots, { recursive: true });
  const folder = await mkdtemp(join(tmpdir(), "warmline-voice-"));
  const callerVoice = process.env.WARMLINE_SPEECH ?? join(folder, "caller.wav");
  if (process.env.WARMLINE_SPEECH === undefined) await writeFile(callerVoice, wav(voice(8_000, 135, 48_000), 48_000));
  const agentVoice = join(folder, "agent.wav");
  await writeFile(agentVoice, wav(voice(8_000, 210, 48_000), 48_000));
  const sites = [await openSite(), await openSite()];
  const mock = process.env.WARMLINE_URL === undefined ? await startMock(sites[0].origin) : null;
  const url = process.env.WARMLINE_URL ?? mock.url;
  const browsers = [];
  try {
    browsers.push(await openBrowser({ microphone: callerVoice }), await openBrowser({ microphone: agentVoice }));
    await journey(url, ...browsers, mock !== null);
    if (mock !== null) {
      const untilCall = (frame) => frame.locator('#main[data-phase="live"]').waitFor();
      const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });
      const context = browsers[0].page.context();
      await widgetJourney({ url, named: sites[0], other: sites[1], context, check, shot, untilCall });
    }
    for (const [i, { problems }] of browsers.entries()) {
      check(`no errors in the console of the ${i === 0 ? "caller" : "agent"}`, problems.length === 0, problems.join(" | "));
    }
  } catch (error) {
    check("the journey went to its end", false, error.message);
    for (const [i, { page }] of browsers.entries()) await page.screenshot({ path: join(shots, `failed-${i}.png`) }).catch(() => {});
  } finally {
    await Promise.all(browsers.map((each) => each.close()));
    mock?.stop();
    for (const site of sites) site.close();
    await rm(folder, { recursive: true, force: true });
  }
  console.log(`\n${passed} passed, ${failures.length} failed`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

async function journey(url, callerBrowser, agentBrowser, mocked) {
  const caller = callerBrowser.page;
  const agent = agentBrowser.page;
  const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });

  // The agent signs in and is available.
  await agent.goto(`${url}/agent`);
  await agent.getByLabel("Name").fill(agentName);
  await agent.getByLabel("Password").fill("not the password");
  await agent.getByRole("button", { name: "Sign in" }).click();
  await agent.getByText("do not go together").waitFor();
  check("a wrong password is told apart", true);
  await shot(agent, "01-sign-in");
  await agent.getByLabel("Password").fill(password);
  await agent.getByLabel("Password").press("Enter");
  await Promise.race([agent.locator(".desk").waitFor(), agent.getByText("Choose a password").waitFor()]);
  if (await agent.getByText("Choose a password").isVisible()) await choosePassword(agent);
  await untilMain(agent, "the desk connects", (data) => data.link === "up");
  await shot(agent, "02-desk-offline");
  await agent.getByRole("button", { name: "Available", exact: true }).click();
  await untilMain(agent, "the agent is available", (data) => data.state === "available");
  check("the agent is available", true);
  await shot(agent, "03-desk-available");

  // The caller calls.
  await caller.goto(url);
  await shot(caller, "10-landing");
  // Listened for from the start: its first words are short.
  const assistant = heard(caller);
  await caller.getByRole("button", { name: "Call", exact: true }).click();
  const live = await untilMain(caller, "the call connects", (data) => data.phase === "live");
  check("the call connects", true, `${live.ms} ms after the click`);
  const greeting = caller.locator('.line[data-who="assistant"]').first();
  await greeting.waitFor();
  check("the assistant’s words appear as captions", (await greeting.innerText()).length > 10);
  check("the assistant is heard", (await assistant) > AUDIBLE);
  check("the microphone is heard here", (await heard(caller, "micLevel")) > AUDIBLE);
  const own = caller.locator('.line[data-who="caller"][data-final="true"]').first();
  await own.waitFor();
  check("the caller’s words appear as captions", true, (await own.locator(".said").innerText()).slice(0, 60));
  await shot(caller, "11-call");
  const marks = await untilMain(caller, "marks come back", (data) => Number(data.marksPlayed) > 0);
  check("marks are reported as played", Number(marks.data.marksPlayed) > 0);

  // A person, please.
  await caller.locator("body").press("0");
  const offered = await untilMain(agent, "the offer appears", (data) => data.phase === "offer");
  check("pressing 0 brings the offer to the agent", true, `seen ${offered.ms} ms after the key, polled`);
  check("the offer says why", (await agent.locator(".offer h1").innerText()).length > 5, await agent.locator(".offer h1").innerText());
  check("the offer has its summary", await seen(agent.locator(".offer .brief p")));
  await agent.waitForTimeout(900);
  await shot(agent, "04-offer");
  await shot(caller, "12-asked");
  await agent.locator("body").press("a");
  await untilMain(agent, "agent and caller are connected", (data) => data.phase === "call");
  check("accepting with the key A connects", true);

  // Both hear each other; mute and hold do what they say.
  check("the agent hears the caller", (await heard(agent)) > AUDIBLE);
  // The assistant's last words are over.
  await agent.waitForTimeout(1_500);
  check("the caller hears the agent", (await heard(caller)) > AUDIBLE);
  await agent.waitForTimeout(mocked ? 3_500 : 1_000);
  await shot(agent, "05-call");
  await agent.getByRole("button", { name: "Show", exact: true }).click();
  await agent.getByLabel("Why do you need it?").fill("calling back if the line breaks");
  await agent.getByLabel("Why do you need it?").press("Enter");
  const number = agent.locator(".reveal .figures");
  await number.waitFor();
  check("the caller’s number is shown for a reason", (await number.innerText()).length > 5, mocked ? await number.innerText() : "");
  await shot(caller, "13-with-a-person");
  await agent.locator("body").press("m");
  const muted = await silence(caller);
  check("muted, the caller does not hear the agent", muted < SILENT, `level ${muted}`);
  await agent.locator("body").press("m");
  await agent.locator("body").press("h");
  await untilMain(agent, "the caller is on hold", (data) => data.hold === "true");
  const held = await silence(agent, PAUSE_MS);
  check("on hold, the agent does not hear the caller", held < SILENT, `level ${held}`);
  check("on hold, the caller hears something", (await heard(caller, "heardLevel", SILENT)) > SILENT);
  await shot(agent, "06-hold");
  await agent.locator("#hold").click();
  await untilMain(agent, "the caller is back", (data) => data.hold === "false");
  await agent.waitForTimeout(700);
  check("after hold both hear each other again", (await heard(caller)) > AUDIBLE && (await heard(agent)) > AUDIBLE);
  await caller.locator("body").press("5");
  await agent.getByText("The caller pressed 5.").waitFor();
  check("a key the caller presses is shown to the agent", true);
  await agent.locator("body").press("9");
  await agent.locator("body").press("k");
  await agent.locator(".keypad").getByRole("button", { name: "7" }).click();
  await agent.getByText("You pressed 7.").waitFor();
  await agent.locator("body").press("3");
  await agent.getByText("You pressed 3.").waitFor();
  check("digits are pressed with the keyboard only while the keypad is open", !(await agent.getByText("You pressed 9.").isVisible()));
  await shot(agent, "07-keypad");
  await agent.locator("body").press("k");

  if (mocked) await colleagues(caller, agent, shot);

  // The agent looks something up meanwhile, in the same tab.
  await agent.getByRole("link", { name: "Knowledge" }).click();
  await agent.getByRole("heading", { name: "Knowledge" }).waitFor();
  check("on another page the call goes on", (await heard(caller)) > AUDIBLE);
  await agent.getByRole("link", { name: "Go to the desk" }).click();
  await untilMain(agent, "the desk still has the call", (data) => data.phase === "call");
  check("and the desk has it as it was", await seen(agent.getByText("You pressed 7.")));

  // The agent's tab is lost and comes back.
  agent.once("dialog", (dialog) => dialog.accept());
  await agent.reload();
  const back = await untilMain(agent, "the call resumes after a reload", (data) => data.phase === "call");
  check("after a reload the call goes on by itself", true, `${back.ms} ms`);
  check("and both hear each other", (await heardAgain(agent)) > AUDIBLE && (await heard(caller)) > AUDIBLE);

  // The end and the note.
  await agent.locator("#end").click();
  await untilMain(agent, "wrap-up begins", (data) => data.phase === "wrap_up");
  await untilMain(caller, "the caller’s page says that the call is over", (data) => data.phase === "ended");
  check("ending the call ends it for both", true);
  await shot(caller, "14-ended");
  await agent.reload();
  await untilMain(agent, "the form is back after a reload", (data) => data.phase === "wrap_up");
  check("after a reload the form is there, with what was said", await seen(agent.locator(".wrap-talk .line")));
  if (mocked) check("the outcomes are the server’s", (await count(agent.locator("#disposition-spam"), 1)) === 1);
  if (mocked) {
    await agent.locator("#drafted").waitFor();
    check("the note is filled in as a proposal", (await agent.getByLabel("Note").inputValue()).startsWith("The caller:"));
  }
  await agent.getByRole("button", { name: "Save and finish" }).click();
  await agent.getByText("Please choose how the call ended.").waitFor();
  check("a note without an outcome is not sent", true);
  await agent.locator(".option").first().click();
  await agent.getByLabel("Note").fill("Parcel is at the depot, comes tomorrow.");
  await shot(agent, "08-wrap-up");
  await agent.getByRole("button", { name: "Save and finish" }).click();
  await untilMain(agent, "wrap-up is over", (data) => data.state === "available");
  check("after the note the agent is available again", true);

  if (mocked) await extras(url, caller, agent, shot);
  await records(url, agent, shot, mocked);
}

/** A colleague is asked while the caller hears music, joins, and is let go. */
async function colleagues(caller, agent, shot) {
  await agent.getByText("A parcel takes two to four days.").waitFor();
  check("what the knowledge base has is beside the call, with its source", await seen(agent.getByRole("link", { name: "Delivery times" })));
  await agent.locator("body").press("c");
  await agent.getByRole("button", { name: "eli" }).click();
  await agent.getByText("You and eli hear each other. The caller hears music.").waitFor();
  check("a colleague is asked with the key C", true);
  await agent.locator("body").press("j");
  await agent.getByText("You, eli and the caller hear each other.").waitFor();
  check("all three speak with the key J", true);
  await shot(agent, "07-colleague");
  await agent.locator("#cancel-consult").click();
  await agent.getByText("The caller is back with you.").waitFor();
  await agent.waitForTimeout(500);
  check("and the caller is back", (await heard(caller)) > AUDIBLE);
  await agent.locator("body").press("t");
  await agent.getByRole("button", { name: "Head office" }).waitFor();
  check("callers can be given to colleagues, queues and telephones outside", await seen(agent.getByRole("button", { name: "cards" })));
  await agent.locator("body").press("t");
}

/** What only the mock can make happen on demand. */
async function extras(url, caller, agent, shot) {
  const make = (what) => fetch(`${url}/mock/${what}`);
  await make("offer?reason=forbidden_topic");
  await untilMain(agent, "a second offer", (data) => data.phase === "offer");
  await agent.locator("body").press("d");
  await untilMain(agent, "declined", (data) => data.phase === "idle" && data.state === "available");
  check("declining with the key D leaves the agent available", true);
  await make("caller-hangs-up");
  await make("offer?reason=low_confidence");
  await untilMain(agent, "a third offer", (data) => data.phase === "offer");
  await agent.locator("body").press("a");
  await untilMain(agent, "connected", (data) => data.phase === "call");
  // The page itself looks: it may be connected again before it is asked.
  const lost = agent.waitForFunction(() => document.getElementById("main")?.dataset.link === "down");
  await make("drop-agent");
  await lost;
  await shot(agent, "09-connection-lost");
  await untilMain(agent, "the connection is back", (data) => data.link === "up" && data.phase === "call");
  check("a lost connection comes back into the call by itself", true);
  await agent.getByRole("button", { name: "Break" }).click();
  await agent.getByText("then on break").waitFor();
  await make("caller-hangs-up");
  await untilMain(agent, "wrap-up", (data) => data.phase === "wrap_up");
  await agent.locator(".option").nth(1).click();
  await agent.getByLabel("Note").press("Control+Enter");
  await untilMain(agent, "the break chosen during the call", (data) => data.state === "break");
  check("the state chosen during a call comes after wrap-up", true);

  await make("busy?on=true");
  await caller.getByRole("button", { name: "Call again" }).click();
  await caller.getByText("All lines are busy").waitFor();
  check("a busy server is said in a sentence", true);
  await shot(caller, "15-busy");
  await make("busy?on=false");
  await caller.getByRole("button", { name: "Call again" }).click();
  await untilMain(caller, "a second call", (data) => data.phase === "live");
  await caller.waitForTimeout(500);
  await make("drop-caller");
  await caller.getByText("The connection to the server was lost.").waitFor();
  check("a lost connection is said in a sentence", true);
}

/** A telephone instead of the tab, and shifts: what agents decide by themselves. */
async function ownTime(page, shot) {
  await page.getByRole("link", { name: "Desk" }).click();
  const card = page.locator(".telephone");
  await card.getByText("from the settings").waitFor();
  await card.getByRole("button", { name: "Another number" }).click();
  await card.getByLabel("Number or extension").fill("+1 500 555 0006");
  await card.getByLabel("Number or extension").press("Enter");
  await card.getByText("Only numbers that begin with +44").waitFor();
  check("a telephone that may not be chosen is refused in words", true);
  await card.getByLabel("Number or extension").fill("+44 20 7946 0199");
  await card.getByRole("button", { name: "Save" }).click();
  await card.getByText("chosen by you").waitFor();
  check("an agent chooses a telephone", await seen(card.getByText("…99")));
  await card.getByRole("button", { name: "Take calls there" }).click();
  await card.getByText("Rings there").waitFor();
  check("and takes calls there", true);
  await shot(page, "19-telephone");
  await card.getByRole("button", { name: "Stop" }).click();
  await card.getByRole("button", { name: "Take calls there" }).waitFor();
  await page.getByRole("link", { name: "Shifts" }).click();
  const own = page.locator("section", { has: page.getByRole("heading", { name: "Your shifts" }) }).locator(".person-row");
  await own.first().waitFor();
  const before = await own.count();
  await page.getByRole("button", { name: /^Take: / }).first().click();
  await page.getByText("The shift is yours.").waitFor();
  check("an open shift is taken", (await count(own, before + 1)) === before + 1, `${before + 1} shifts`);
  await shot(page, "18-shifts");
  await own.getByRole("button", { name: /^Give back: / }).last().click();
  await own.getByRole("button", { name: "Yes" }).click();
  await page.getByText("The shift is open again.").waitFor();
  check("and given back after asking twice", (await count(own, before)) === before);
  const time = page.locator(".ledger");
  await time.locator("tbody tr").first().waitFor();
  check("an agent sees how the own time was spent and is paid", (await count(time.locator("tbody tr"), 8)) === 8, (await time.locator("tbody tr").last().innerText()).replace(/\s+/g, " "));
  const [table] = await Promise.all([page.waitForEvent("download"), time.getByRole("link", { name: "Download (CSV)" }).click()]);
  check("and takes it away as a table", table.suggestedFilename() === "time.csv");
  check("agents plan nobody's shifts", !(await page.getByRole("heading", { name: "Plan a shift" }).isVisible()));
  await page.getByRole("link", { name: "Desk" }).click();
}

async function records(url, page, shot, mocked) {
  if (mocked) {
    await ownTime(page, shot);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Name").fill("sam");
    await page.getByLabel("Password").fill("desk-password");
    await page.getByLabel("Password").press("Enter");
    await page.locator(".desk").waitFor();
    check("signing out and in as somebody else works", true);
  }
  await page.getByRole("link", { name: "Calls" }).click();
  await page.locator(".records tbody tr").first().waitFor();
  await shot(page, "20-calls");
  const index = mocked ? 1 : 0;
  await page.locator(".records tbody tr").nth(index).getByRole("link").click();
  // The agent's note is the last that is written.
  await written(page, page.getByRole("heading", { name: "Notes" }));
  check("a call shows the agent’s note", true);
  check("a call shows what was said", await seen(page.locator(".turn").nth(1)));
  check("a call shows why a person was called", await seen(page.getByRole("heading", { name: "Why a person" })));
  await page.locator(".timeline canvas").nth(2).waitFor();
  const drawn = await page.locator(".timeline canvas").count();
  check("a call is drawn in time: voices, answers, sureness", drawn === 3, `${drawn} plots`);
  const seconds = await secondsOf(page.locator("audio"), () => page.reload());
  check("its recording can be played", seconds > 1, `${seconds.toFixed(1)} s`);
  await shot(page, "21-call");
  if (mocked) await review(page, shot);
  await page.getByRole("link", { name: "Calls", exact: true }).click();
  await page.getByLabel("Outcome").selectOption("left_message");
  await page.waitForFunction(() => [...document.querySelectorAll(".records tbody .tag")].every((tag) => tag.textContent === "Left a message"));
  check("calls are filtered by their outcome, and the address says so", await becomes(() => page.url().endsWith("/calls?outcome=left_message"), (is) => is));
  await page.goBack();
  await page.getByRole("link", { name: "Messages" }).click();
  await page.getByRole("heading", { name: "Messages" }).waitFor();
  await page.waitForTimeout(300);
  await shot(page, "22-messages");
  if (mocked) {
    await page.getByRole("button", { name: "Mark done" }).first().click();
    await page.getByText("2 messages to take care of.").waitFor();
    check("a message can be marked done", true);
  }
  await page.getByRole("link", { name: "Knowledge" }).click();
  await page.locator(".entry").first().waitFor();
  await page.getByRole("searchbox").fill("Are you open on Saturday?");
  await page.locator(".hits tbody tr").first().waitFor();
  check("the knowledge base says what it would answer", (await page.locator(".try-it blockquote").innerText()).length > 10, await page.locator(".try-it .notice").innerText());
  await page.getByRole("link", { name: "Engines" }).click();
  await page.locator(".engine").first().waitFor();
  check("every engine is shown with its state", (await count(page.locator(".engine .tag"), 4)) === 4);
  await page.getByRole("link", { name: "People" }).click();
  await page.locator(".person-row").first().waitFor();
  await page.getByLabel("Name").fill("quinn");
  await page.getByRole("button", { name: "Make account" }).click();
  await page.locator(".one-time code").waitFor();
  check("an account is made, with a one-time password", (await page.locator(".one-time code").innerText()).length > 8);
  const quinn = page.locator(".person-row").filter({ hasText: "quinn" });
  await quinn.getByRole("button", { name: "Remove" }).click();
  await quinn.getByRole("button", { name: "Yes" }).click();
  await quinn.waitFor({ state: "detached" });
  check("and removed again after asking twice", true);
  if (mocked) {
    await keys(page, shot);
    await planning(page, shot);
    await operator(url, page, shot);
    await hours(page, shot);
    await supervision(page, shot);
    await queues(page, shot);
    await page.goto(`${url}/calls`);
    const call = await page.locator(".row-link").nth(1).getAttribute("href");
    const paths = ["/", "/agent", "/wallboard", "/calls", call, "/messages", "/shifts", "/knowledge", "/knowledge/opening-hours", "/engines", "/people", "/setup", "/configuration", "/nowhere"];
    await everyPage({ url, page, paths, check });
    await echoJourney({ context: page.context(), url, check });
  }
  const missing = await page.goto(`${url}/nowhere`);
  check("an address that does not exist has status 404", missing.status() === 404);
  await page.getByText("This page does not exist").waitFor();
  check("an address that does not exist has a page", true);
  await shot(page, "23-not-found");
}

/** Points, a comment, and what leaves the records. */
async function review(page, shot) {
  const assistant = page.locator(".score").first();
  for (const [row, points] of [4, 5, 3].entries()) await assistant.locator("fieldset").nth(row).getByRole("radio", { name: String(points) }).check();
  await assistant.getByRole("button", { name: "Save points" }).click();
  await assistant.getByText("The points are saved.").waitFor();
  const points = await becomes(() => assistant.locator(".tag").innerText(), (text) => text === "4.0 of 5");
  check("the assistant is scored on the rubric", points === "4.0 of 5", points);
  check("so is the person, on the same", (await count(page.locator(".score").nth(1).locator("fieldset"), 4)) === 4);
  await page.getByLabel("Your comment").fill("Parcels go to people.");
  await page.getByRole("button", { name: "Comment", exact: true }).click();
  await page.locator(".items .pre", { hasText: "Parcels go to people." }).waitFor();
  check("a comment stands with the call", (await becomes(() => page.getByLabel("Your comment").inputValue(), (text) => text === "")) === "");
  const [text] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "The words, masked" }).click()]);
  check("the words can be downloaded without personal details", text.suggestedFilename().endsWith("-redacted.txt"), text.suggestedFilename());
  const [sound] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "The recording, masked" }).click()]);
  check("so can the recording", sound.suggestedFilename().endsWith("-redacted.wav"), sound.suggestedFilename());
  const steps = await becomes(() => page.locator(".party-steps li > span:last-child").allInnerTexts(), ({ length }) => length === 4);
  check("who was on the line is told in words", steps.length === 4 && steps[2] === "All three hear each other.", steps.join(" "));
  check("and drawn, one bar for each", (await count(page.locator(".presence svg"), 3)) === 3);
  await page.getByRole("button", { name: "Turn this into a test" }).click();
  const yaml = page.getByLabel("Scenario (YAML)");
  await yaml.fill((await yaml.inputValue()).replace("kind: explicit", ""));
  await page.getByRole("button", { name: "Keep with the tests" }).click();
  await page.getByText("it has no kind").waitFor();
  check("a scenario that can’t be played is not kept, and it is said why", true);
  await yaml.fill(`kind: explicit\n${await yaml.inputValue()}`);
  await page.getByRole("button", { name: "Keep with the tests" }).click();
  await page.getByText("Kept as").waitFor();
  check("a corrected scenario is kept with the tests", true);
  await shot(page, "21-scenario");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  check("the keyboard leaves the dialog", true);
}

/** A key for a program is made, shown once, and revoked. */
async function keys(page, shot) {
  await page.getByRole("button", { name: "Make key" }).click();
  await page.getByText("Please say what the key is for.").waitFor();
  await page.getByLabel("What it is for").fill("Door display");
  await page.getByLabel("Good for").selectOption("365");
  await page.getByRole("button", { name: "Make key" }).click();
  const made = page.locator(".made-key pre");
  await made.waitFor();
  check("a key is made and shown", (await made.innerText()).startsWith("warmline_"));
  await shot(page, "27-keys");
  const row = page.locator(".person-row").filter({ hasText: "Door display" });
  check("its row has only its ending", (await row.innerText()).includes("…9fKe") && (await row.innerText()).includes("Never used"));
  await row.getByRole("button", { name: "Revoke" }).click();
  await row.getByRole("button", { name: "Yes" }).click();
  await page.getByText("2 keys that are good no more").click();
  check("a revoked key is kept in sight", await seen(page.locator('[data-key="revoked"]').filter({ hasText: "Door display" })));
  check("and is shown no more itself", (await count(made, 0)) === 0);
}

/** A supervisor plans shifts for somebody and for whoever wants them. */
async function planning(page, shot) {
  await page.getByRole("link", { name: "Shifts" }).click();
  await page.getByRole("heading", { name: "Plan a shift" }).waitFor();
  await page.getByLabel("From", { exact: true }).fill("05:00");
  await page.getByLabel("To", { exact: true }).fill("07:00");
  await page.getByLabel("People").fill("3");
  await page.getByRole("button", { name: "Offer" }).click();
  await page.getByText("3 people wanted").waitFor();
  check("a block is offered to whoever takes it", true);
  await page.getByLabel("For", { exact: true }).selectOption("dana");
  await page.getByRole("button", { name: "Schedule" }).click();
  const row = page.locator(".person-row").filter({ hasText: "dana · 2 h" });
  await row.waitFor();
  check("and scheduled for one person", true);
  await page.getByRole("button", { name: "Schedule" }).click();
  await page.getByText("The agent has another shift then.").waitFor();
  check("nobody is planned twice at a time, and it is said why", true);
  await shot(page, "28-planning");
  await row.getByRole("button", { name: /^Call off: / }).click();
  await row.getByRole("button", { name: "Yes" }).click();
  await row.getByText("Called off, paid").waitFor();
  check("a shift is called off, and stays paid", true);
}

/** Opening hours are changed with a preview, and go back to the file's. */
async function hours(page, shot) {
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Change office" }).click();
  await page.getByLabel("Monday").waitFor();
  const isFocused = (locator) => becomes(() => locator.evaluate((element) => element === document.activeElement), (is) => is);
  check("the form begins where the hours are", await isFocused(page.getByLabel("Monday")));
  await page.getByLabel("Wednesday").fill("8-18");
  await page.getByText("must be hours such as 08:00-18:00").waitFor();
  check("what is wrong stands beside its field, before it is kept", await isDisabled(page.getByRole("button", { name: "Keep" })));
  for (const day of ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]) await page.getByLabel(day).fill("00:00-24:00");
  await page.getByText("With these hours: open now").waitFor();
  check("it is said whether it would be open now", true, await page.locator(".hours-tried .notice").innerText());
  await page.getByRole("button", { name: "Add a day" }).click();
  const day = page.locator(".special-days li").last();
  await day.getByLabel("Day").fill("2030-01-01");
  await shot(page, "29-hours");
  await page.getByRole("button", { name: "Keep" }).click();
  await page.getByText("mon-sun 00:00-24:00").waitFor();
  check("hours are kept, days alike on one line", await seen(page.locator(".hours").getByText("changed here")));
  check("the focus is back at the button", await isFocused(page.getByRole("button", { name: "Change office" })));
  await page.getByRole("button", { name: "Change office" }).click();
  await page.getByRole("button", { name: "Back to the file’s hours" }).click();
  await page.getByRole("button", { name: "Yes" }).click();
  await page.getByText("mon-fri 08:00-18:00").waitFor();
  check("and go back to the file’s", true);
  await page.getByRole("button", { name: "Give hours to orders" }).click();
  await page.getByRole("button", { name: "Keep" }).click();
  await page.getByText("made here").waitFor();
  check("a queue that was always open gets hours", true);
}

/** Connecting a number, changing an entry, looking at what is in force. */
async function operator(url, page, shot) {
  await page.getByRole("link", { name: "Set-up" }).click();
  await page.getByLabel("Vonage Voice API").check();
  await page.getByRole("heading", { name: "Connect Vonage Voice API" }).waitFor();
  check("the set-up has the instructions of the provider that is chosen", await becomes(() => page.url().endsWith("?provider=vonage"), (is) => is));
  await page.getByLabel("Public address").fill("https://elsewhere.example.com");
  await page.getByRole("button", { name: "Check" }).click();
  await page.getByText("something else answers there").waitFor();
  check("an address that leads elsewhere is told apart", (await count(page.locator('.findings [data-ok="true"]'), 2)) === 2);
  await fetch(`${url}/mock/call`);
  await page.getByText("A call came in by way of Phone, Vonage").waitFor();
  check("a test call is seen when it comes in", true);
  await shot(page, "25-setup");
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByText("turn.hangover_ms = 1").waitFor();
  check("what is wrong with the configuration is said in words", (await count(page.locator(".problems li"), 2)) === 2);
  await page.getByRole("button", { name: "Listen" }).click();
  await page.locator("audio").waitFor();
  check("a sentence can be heard", true);
  await shot(page, "26-settings");
  await page.goto(`${url}/knowledge/opening-hours`);
  const text = page.locator("#entry-text");
  await text.waitFor();
  const before = await text.inputValue();
  await text.fill(before.replace('"Opening hours"', '""'));
  await page.getByRole("button", { name: "Try" }).click();
  await page.getByText("Line 2: title is empty").waitFor();
  check("a text that is no entry is said to be none, with the line", true);
  await text.fill(before.replace('"Opening hours"', '"Hours"'));
  await page.getByRole("button", { name: "Try" }).click();
  await page.locator(".tried").nth(1).waitFor();
  check("a draft is tried with its own questions", (await count(page.locator(".tried blockquote"), 2)) === 2);
  await page.getByRole("button", { name: "Keep" }).click();
  await page.getByText("Kept. It is spoken").waitFor();
  check("and kept", await isDisabled(page.getByRole("button", { name: "Keep" })));
}

/** A supervisor hears a call, joins it, and takes it over. */
async function supervision(page, shot) {
  await page.getByRole("link", { name: "Wallboard" }).click();
  const row = page.locator('.live-call[data-stage="agent"]').first();
  await row.waitFor();
  check("the wallboard has every call, who waits first", (await page.locator(".live-call").first().getAttribute("data-stage")) === "waiting");
  await page.locator(".tile", { hasText: "Answered within 20 s" }).getByText("78 %").waitFor();
  check("it has how well callers are served, all together and by queue", (await count(page.locator(".by-queue tbody tr"), 3)) === 3);
  check("and how busy each agent was", await seen(page.getByText("93 % busy today, 17 calls")));
  await row.getByRole("button", { name: "Show", exact: true }).click();
  await row.getByLabel("Why do you need it?").fill("the caller asked to be called back");
  await row.getByLabel("Why do you need it?").press("Enter");
  await row.getByText("+44 20 7946 0958").waitFor();
  check("a caller’s number is shown to supervisors for a reason", true);
  await row.getByRole("button", { name: "Listen" }).click();
  await page.locator(".supervising .line").first().waitFor();
  const heard = () => page.evaluate(() => document.querySelector(".supervising .levels > div:last-child .meter > span").style.getPropertyValue("--level"));
  await page.waitForFunction(() => Number(document.querySelector(".supervising .levels > div:last-child .meter > span").style.getPropertyValue("--level")) > 0.2);
  check("a supervisor hears a call and reads it", true, `level ${await heard()}`);
  await page.getByRole("button", { name: "Whisper" }).click();
  await page.getByText("Only the agent hears you.").waitFor();
  check("and speaks to its agent alone", true);
  await page.getByRole("button", { name: "Join" }).click();
  await page.getByText("Everybody hears you.").waitFor();
  check("and to all", true);
  await page.getByRole("button", { name: "Whisper" }).click();
  await shot(page, "24-wallboard");
  const calls = await page.locator(".live-call").count();
  const last = page.locator(".live-call").last();
  await last.getByRole("button", { name: "End" }).click();
  await last.getByRole("button", { name: "Yes" }).click();
  await page.waitForFunction((before) => document.querySelectorAll(".live-call").length < before, calls);
  check("a call is ended after asking twice", true);
  await row.getByRole("button", { name: "Take over" }).click();
  await untilMain(page, "the call is taken over", (data) => data.phase === "call");
  check("a call that is taken over is on the desk", true);
  await page.locator("#end").click();
  await untilMain(page, "wrap-up", (data) => data.phase === "wrap_up");
  await page.locator(".option").first().click();
  await page.getByRole("button", { name: "Save and finish" }).click();
  await untilMain(page, "wrap-up is over", (data) => data.phase === "idle");
}

/** What callers of a queue are told, and how it goes before others, is changed while they wait. */
async function queues(page, shot) {
  await page.getByRole("link", { name: "Wallboard" }).click();
  const alerts = page.locator(".alerts");
  await alerts.getByText("orders: 71 % answered in time").waitFor();
  check("what a supervisor should see to is named", await becomes(() => page.title().then((title) => /^\(\d+\) /.test(title)), (is) => is), (await alerts.locator("li").allInnerTexts()).join(", "));
  const card = page.locator(".queues");
  await card.getByRole("button", { name: "Change billing" }).click();
  await card.getByLabel("Priority").fill("250");
  await card.getByRole("button", { name: "Put into force" }).click();
  await card.getByText("A priority is -100 to 100.").waitFor();
  check("a priority out of range is refused in words", true);
  await card.getByLabel("Priority").fill("20");
  await card.getByLabel("What callers are told").fill("Invoices went out twice.\nPay once.");
  await shot(page, "37-queues");
  await card.getByRole("button", { name: "Put into force" }).click();
  await card.getByText("Invoices went out twice. Pay once.").waitFor();
  check("priority and message of a queue are changed", await seen(card.getByText("priority 20")));
  const change = card.getByRole("button", { name: "Change billing" });
  check("and the focus is back at the button", await becomes(() => change.evaluate((element) => element === document.activeElement), (is) => is));
  await change.click();
  await card.getByRole("button", { name: "Back to the file’s" }).click();
  await card.getByRole("button", { name: "Yes" }).click();
  check("and go back to the file’s", (await count(card.getByText("priority 20"), 0)) === 0);
}

async function choosePassword(page) {
  const chosen = process.env.WARMLINE_NEW_PASSWORD ?? "correct horse battery";
  await page.getByLabel("Password you were given").fill(password);
  await page.getByLabel("New password", { exact: true }).fill(chosen);
  await page.getByLabel("New password again").fill(chosen);
  await page.getByRole("button", { name: "Save password" }).click();
  await page.locator(".desk").waitFor();
  check("a first password is replaced", true);
}

function startMock(origin) {
  // Nothing runs out by itself here, however long pages and pictures take.
  const env = { ...process.env, MOCK_WIDGET_ORIGINS: origin, MOCK_OFFER_MS: "600000", MOCK_WRAP_MS: "600000", MOCK_RESUME_MS: "600000" };
  const child = spawn(process.execPath, [join(here, "mock.mjs"), "0"], { stdio: ["ignore", "pipe", "inherit"], env });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the mock ended with ${code}`)));
    child.stdout.once("data", (data) => resolve({ url: String(data).trim(), stop: () => child.kill() }));
  });
}

await main();

// Journeys with telephones: an agent who takes a caller at one, and a caller who is given to one outside. Twilio is played.

import { AUDIBLE, becomes, heard, seen, untilMain, written } from "./browser.mjs";

/** The lowest level at which a telephone hears a voice. */
const HEARD = 0.005;

/** What the server's configuration has for them. */
export const TELEPHONES = `telephone_prefixes = ["+1500"]\noutside = { "Head office" = "+15005550124" }\n`;

/** An agent sets a telephone up on the page, takes a caller there, and comes back to the tab for the note. */
export async function atTelephone({ url, twilio, people: { caller, ann, ben, sue }, check, call, choose, finish, shot }) {
  await choose(ben, "Break");
  await choose(ann, "Offline");
  const card = ann.locator(".telephone");
  await card.getByRole("button", { name: "Choose a number" }).click();
  await card.getByLabel("Number or extension").fill("+1 500 555 0007");
  await card.getByRole("button", { name: "Save" }).click();
  await card.getByText("chosen by you").waitFor();
  await card.getByRole("button", { name: "Take calls there" }).click();
  await card.getByText("Rings there").waitFor();
  check("an agent chooses a telephone and takes calls there", await seen(card.getByText("…07")));
  await sue.goto(`${url}/wallboard`);
  const row = sue.locator(".live-agents li").filter({ hasText: "ann" });
  await row.and(sue.locator('[data-state="available"]')).waitFor();
  await call(caller, url);
  await caller.locator("body").press("0");
  const asked = await twilio.request("/Accounts/AC1/Calls.json");
  check("a caller who wants a person makes it ring", asked.get("To") === "+15005550007", `from ${asked.get("From")}`);
  const telephone = await twilio.answer(url, asked, 190);
  check("whoever answers hears what it is about", await telephone.hears(HEARD));
  telephone.press("1");
  await untilMain(caller, "a person", (data) => data.speaking === "agent");
  check("1 takes the caller, who hears the agent at the telephone", (await heard(caller)) > AUDIBLE);
  telephone.forget();
  check("and is heard there", await telephone.hears(HEARD));
  await row.and(sue.locator('[data-state="on_contact"]')).waitFor();
  check("the wallboard shows the agent with a caller", true);
  await shot(sue, "38-telephone-wallboard");
  telephone.hangUp();
  await untilMain(caller, "the call is over", (data) => data.phase === "ended");
  await card.getByRole("button", { name: "Stop" }).click();
  // Whoever takes no calls at the telephone any more takes none at all until they say so.
  await finish(ann, "offline");
  check("back at the tab, the note of that call is written", true);
}

/** A caller at a telephone is given to the head office, which takes the call. */
export async function outside({ url, twilio, people: { ann, ben, sue }, check, choose, finish, shot }) {
  await choose(ben, "Break");
  const caller = await twilio.call(url, 150);
  check("somebody who calls by telephone is greeted", await caller.hears(HEARD));
  caller.press("0");
  await untilMain(ann, "the offer", (data) => data.phase === "offer");
  await ann.locator("#accept").click();
  await untilMain(ann, "the call", (data) => data.phase === "call");
  caller.forget();
  check("caller and agent hear each other", (await heard(ann)) > AUDIBLE && (await caller.hears(HEARD)));
  await ann.locator("#transfer").click();
  await shot(ann, "39-give-on");
  await ann.locator(".people").getByRole("button", { name: "Head office" }).click();
  await untilMain(ann, "given away", (data) => data.phase === "wrap_up");
  const moved = await twilio.request(`/Calls/${caller.callSid}.json`);
  check("the provider is asked to move the call", moved.get("Url") === `${url}/voice/twilio/after`);
  caller.hangUp();
  const after = (form) => twilio.tell(moved.get("Url"), { CallSid: caller.callSid, CallStatus: "in-progress", ...form });
  const document = await becomes(() => after({}), (text) => text.includes("<Number"));
  check("which dials the head office", document.includes(">+15005550124</Number>"));
  const about = (what) => `${url}/voice/twilio/${what}?call=${caller.callSid}`;
  check("who is told what it is about", (await twilio.tell(about("whisper"), { CallSid: "CA1" })).includes("Press 1 to take the call."));
  await twilio.tell(about("accept"), { CallSid: "CA1", Digits: "1" });
  await after({ DialCallStatus: "completed" });
  await finish(ann);
  await sue.goto(`${url}/calls`);
  await written(sue, sue.locator(".records tbody tr").first().locator(".tag", { hasText: "Given to a telephone" }));
  check("the call is on record as given to a telephone", true);
}

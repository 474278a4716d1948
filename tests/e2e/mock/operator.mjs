// What operators see: set-up, settings, entries to edit; and who may show the call button.

import { KNOWLEDGE, found } from "./knowledge.mjs";
import { voice, wav } from "../voice.mjs";

const INSTRUCTIONS = `## Connect
1. Configure the server. The Auth Token stands on the first page of the Twilio console.
   \`\`\`toml
   [server]
   public_url = "https://desk.example.com"
   [twilio]
   auth_token = "…"
   \`\`\`
2. Console: *Phone Numbers → Manage → Active numbers → your number → Voice Configuration*: a call comes in, *Webhook*,
   \`https://desk.example.com/voice/twilio/incoming\`, HTTP POST.
3. Call it.
`;
const TITLES = { twilio: "Twilio Media Streams", signalwire: "SignalWire cXML", telnyx: "Telnyx (Call Control, TeXML)", plivo: "Plivo Audio Streaming", vonage: "Vonage Voice API", asterisk: "Asterisk", jambonz: "jambonz", freeswitch: "FreeSWITCH" };
const providers = Object.entries(TITLES).map(([name, title]) => ({
  name,
  title,
  is_configured: name === "twilio",
  media_url: `wss://desk.example.com/media/${name}`,
  webhook_url: `https://desk.example.com/voice/${name}/incoming`,
  instructions: INSTRUCTIONS.replaceAll("twilio", name),
}));

const CONFIGURATION = {
  toml: '[server]\nlisten = "127.0.0.1:8080"\npublic_url = ""\n\n[twilio]\nauth_token = "<secret>"\n',
  file: "warmline.toml",
  has_changed: true,
  problems: [
    { key: "turn.hangover_ms", value: "1", reason: "must be from 100 to 5000", phrase: { reason: "range", values: { from: "100", to: "5000" } } },
    { key: "colour", value: "", reason: "no such section", phrase: { reason: "no_section" } },
  ],
};
const PROMPTS = [
  { name: "assistant.md", version: "1", is_built_in: true, text: "You are the automated telephone assistant of {{ company }}.\n" },
  { name: "choose.md", version: "2", is_built_in: false, text: "You work at the telephone of {{ company }}.\n" },
  { name: "sentences.toml", version: "1", is_built_in: true, text: 'repeat = "I\'m sorry, I didn\'t catch that."\n' },
];
const texts = new Map();

function textOf({ title, answers, body }) {
  return `+++\ntitle = "${title}"\napproved = "${answers[0].approved}"\nalso_asked = [${answers[0].also_asked.map((each) => `"${each}"`).join(", ")}]\n+++\n${body}\n`;
}

/** Answers what operators ask for; false when it is something else. */
export async function operator({ request, response, route, path, hadCalls, bodyOf, json, problem }) {
  if (route === "GET /api/v1/setup") return json(response, 200, { public_url: "", base_url: "http://127.0.0.1:8080", browser_calls: true, had_calls: hadCalls, providers });
  if (route === "POST /api/v1/setup/check") {
    const { url } = await bodyOf(request);
    const steps = ["address", "answers", "itself", "websockets", "configured"].map((step) => ({ step, ok: true, detail: null }));
    if (url.includes("elsewhere")) return json(response, 200, [...steps.slice(0, 2), { step: "itself", ok: false, detail: "something else answers there" }]);
    return json(response, 200, [...steps.slice(0, 4), { step: "configured", ok: false, detail: "http://127.0.0.1:8080" }]);
  }
  if (route === "GET /api/v1/configuration") return json(response, 200, CONFIGURATION);
  if (route === "GET /api/v1/prompts") return json(response, 200, PROMPTS);
  if (route === "POST /api/v1/voice") {
    response.writeHead(200, { "Content-Type": "audio/wav" });
    return response.end(wav(voice(1_500)));
  }
  if (route === "POST /api/v1/knowledge/preview") {
    const { text, questions } = await bodyOf(request);
    if (/title = ""/.test(text)) return json(response, 200, { problem: { line: 2, reason: "title is empty" }, answers: [] });
    return json(response, 200, { problem: null, answers: questions.map((question) => ({ question, found: found(question) })) });
  }
  const id = /^\/api\/v1\/knowledge\/([a-z0-9-]+)$/.exec(path)?.[1];
  if (id === undefined || id === "search") return false;
  const entry = KNOWLEDGE.find((each) => each.id === id);
  if (request.method === "PUT") {
    const { text } = await bodyOf(request);
    if (/title = ""/.test(text)) return problem(response, 400, "bad_request", "Line 2: title is empty.");
    texts.set(id, text);
  } else if (entry === undefined && !texts.has(id)) {
    return problem(response, 404, "not_found", "Entry not found.");
  }
  return json(response, 200, { id, text: texts.get(id) ?? textOf(entry), may_keep: true });
}

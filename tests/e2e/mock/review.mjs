// Comments, points and what is taken out of a call; kept while the mock runs.

import { randomUUID } from "node:crypto";

import { voice, wav } from "../voice.mjs";

const comments = new Map();
const scores = new Map();

export const commentsOf = (id) => comments.get(id) ?? [];
export const scoresOf = (id) => scores.get(id) ?? [];

const SCENARIO = `# From a call of 2026-01-12. Say what should follow, then keep it beside the others.
kind: explicit
scenarios:
  - name: call-00000899
    person: needed
    turns:
      - { say: "When are you open on Saturday?", confidence: 0.93, entry: "opening-hours" }
      - { say: "And my parcel, eh, it was due on Tuesday.", confidence: 0.61 }
      - { say: "Can I talk to a person please?", confidence: 0.97, handoff: caller_asked }
`;

/** Answers what belongs to reviews; false when it is something else. */
export async function review({ request, response, path, user, call, bodyOf, json, problem }) {
  const found = /^\/api\/v1\/calls\/([^/]+)\/(comments|scores|redacted|redacted-recording|scenario|reveal)$/.exec(path);
  if (found === null) return false;
  const [, id, what] = found;
  const at = new Date().toISOString();
  if (what === "comments") {
    const { text, at_ms } = await bodyOf(request);
    const comment = { id: randomUUID(), call_id: id, author_id: user.id, at, at_ms, text };
    comments.set(id, [...commentsOf(id), comment]);
    return json(response, 201, comment);
  }
  if (what === "scores") {
    const score = { call_id: id, by: user.id, at, ...(await bodyOf(request)) };
    scores.set(id, [...scoresOf(id).filter((each) => each.by !== user.id || each.agent_id !== score.agent_id), score]);
    return json(response, 200, score);
  }
  if (what === "reveal") {
    const { reason } = await bodyOf(request);
    if (reason.length < 3) return problem(response, 400, "bad_request", "Please say in a few words why you need it.");
    return json(response, 200, { value: call(id)?.from ?? "+44 20 7946 0958" });
  }
  if (what === "redacted") {
    response.writeHead(200, { "Content-Type": "text/plain; charset=utf-8", "Content-Disposition": `attachment; filename="call-${id}-redacted.txt"` });
    return response.end("Caller: My name is [name].\n");
  }
  if (what === "redacted-recording") {
    response.writeHead(200, { "Content-Type": "audio/wav", "Content-Disposition": `attachment; filename="call-${id}-redacted.wav"` });
    return response.end(wav(voice(1_000)));
  }
  if (request.method === "GET") {
    response.writeHead(200, { "Content-Type": "application/yaml" });
    return response.end(SCENARIO);
  }
  const { yaml } = await bodyOf(request);
  if (!yaml.includes("kind:")) return problem(response, 400, "bad_request", "This scenario can't be played: it has no kind.");
  return json(response, 200, { file: `call-${id}.yaml`, scenarios: 1 });
}

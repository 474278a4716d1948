// A busy moment, for the wallboard.

const began = Date.now();
const id = (n) => `0197c1d2-0000-7000-8000-${String(n).padStart(12, "0")}`;

/** Why a caller waits: in English, and by the words of its parts. */
function waits(position, waited) {
  return {
    why: `Number ${position} in main after ${waited} s: waits for somebody with billing; of those signed in, 2 on a call and 1 without billing.`,
    why_phrases: [
      { reason: "number", values: { position: String(position), queue: "main", after_s: String(waited) } },
      { reason: "waits_needs", values: { needs: "billing" } },
      { reason: "agent_on_contact", values: { n: "2" } },
      { reason: "without", values: { needs: "billing", n: "1" } },
    ],
  };
}

function because(stage, agent_id) {
  if (stage !== "agent" && stage !== "offered") return { why_phrases: [] };
  const values = { idle_s: "74", of: "3" };
  const head = stage === "agent" ? { reason: "with", values: { agent: agent_id } } : { reason: "offered", values: { agents: agent_id, left_s: "9" } };
  const text = stage === "agent" ? `With ${agent_id}` : `Offered to ${agent_id} for another 9 s`;
  return { why: `${text}: who has been idle longest (74 s), of 3 who were free and fit.`, why_phrases: [head, { reason: "longest_idle", values }] };
}

const CALLS = [
  { stage: "waiting", provider: "twilio", for: 151, reason: "caller_asked", waits: 64, position: 1 },
  { stage: "waiting", provider: "telnyx", for: 96, reason: "low_confidence", waits: 21, position: 2 },
  { stage: "offered", provider: "browser", for: 48, reason: "caller_pressed_zero", waits: 6, agent_id: "kim" },
  { stage: "agent", provider: "twilio", for: 312, reason: "forbidden_topic", agent_id: "robin" },
  { stage: "agent", provider: "plivo", for: 187, reason: "caller_asked", agent_id: "alex" },
  { stage: "assistant", provider: "browser", for: 74 },
  { stage: "assistant", provider: "twilio", for: 31 },
  { stage: "assistant", provider: "vonage", for: 9 },
];

export const BUSY = [
  { agent_id: "alex", name: "alex", state: "on_contact", for_ms: 171_000, next: "break" },
  { agent_id: "kim", name: "kim", state: "reserved", for_ms: 6_000 },
  { agent_id: "robin", name: "robin", state: "on_contact", for_ms: 254_000 },
  { agent_id: "noor", name: "noor", state: "break", code: "lunch", for_ms: 1_260_000 },
  { agent_id: "lee", name: "lee", state: "wrap_up", for_ms: 23_000 },
];

/** `MOCK_CALLS`: a house as full as that, in which somebody comes, goes or moves on with every look. */
const FULL = Number(process.env.MOCK_CALLS ?? 0);
const STAGES = ["waiting", "offered", "agent", "assistant", "assistant"];

function fullHouse(passed) {
  const look = Math.floor(passed / 2_000);
  return Array.from({ length: FULL }, (_, i) => {
    // A tenth of them is another call than at the last look, and some have gone on to the next stage.
    const visit = Math.floor((look + i) / 10);
    const stage = STAGES[(i + visit + Math.floor((look + i) / 5)) % STAGES.length];
    return {
      call_id: id(1_000 + i + 1_000 * visit),
      provider: ["twilio", "browser", "vonage", "telnyx"][i % 4],
      stage,
      for_ms: 1_000 * ((i * 37) % 400) + passed,
      ...(stage === "assistant" ? {} : { reason: "caller_asked" }),
      ...(stage === "waiting" ? { waiting_ms: 1_000 * ((i * 13) % 200) + passed, position: i, queue: "main", priority: 0, ...waits(i, ((i * 13) % 200) + Math.round(passed / 1_000)) } : because(stage, BUSY[i % BUSY.length].agent_id)),
      ...(stage === "agent" || stage === "offered" ? { agent_id: BUSY[i % BUSY.length].agent_id } : {}),
    };
  });
}

export function liveCalls(ended) {
  const passed = Date.now() - began;
  if (FULL > 0) return fullHouse(passed).filter(({ call_id }) => !ended.has(call_id));
  return CALLS.map(({ for: seconds, waits: waited, position, ...call }, i) => ({
    call_id: id(800 + i),
    ...(call.provider === "browser" ? {} : { from: `…${String(11 * i + 12).slice(-2)}` }),
    for_ms: seconds * 1_000 + passed,
    ...(waited === undefined ? {} : { waiting_ms: waited * 1_000 + passed }),
    ...(position === undefined ? because(call.stage, call.agent_id) : { position, queue: "main", priority: 0, ...waits(position, waited + Math.round(passed / 1_000)) }),
    ...call,
  })).filter(({ call_id }) => !ended.has(call_id));
}

/** What was said in a call before a supervisor listens. */
export const SUPERVISED = [
  ["assistant", "Hello, this is the automated assistant of Larkfield. How can I help you?", 1],
  ["caller", "I want to speak about the fee on my account.", 0.94],
  ["agent", "Hello, this is Robin. I have your account in front of me.", 0.96],
].map(([who, text, confidence], seq) => ({ seq, who, text, at_ms: 5_000 * seq + 700, confidence, is_final: true }));

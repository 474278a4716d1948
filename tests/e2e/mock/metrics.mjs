// Numbers that grow from scrape to scrape, as those of a server with calls do.

const EDGES = [0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, Infinity];
const STAGES = { endpointing: 0.42, stt: 0.05, llm: 0.15, tts: 0.03 };
const counts = new Map();
let scrapes = 0;

function record(key, seconds) {
  const buckets = counts.get(key) ?? EDGES.map(() => 0);
  EDGES.forEach((edge, i) => (buckets[i] += seconds <= edge ? 1 : 0));
  counts.set(key, buckets);
}

function lines(name, key, labels) {
  const edge = (i) => (EDGES[i] === Infinity ? "+Inf" : EDGES[i]);
  return (counts.get(key) ?? []).map((count, i) => `${name}_bucket{${labels}le="${edge(i)}"} ${count}`);
}

export function metrics() {
  scrapes += 1;
  const swing = 1 + 0.25 * Math.sin(scrapes / 2);
  for (const [stage, seconds] of Object.entries(STAGES)) record(stage, seconds * swing);
  record("response", 0.68 * swing);
  return [
    ...Object.keys(STAGES).flatMap((stage) => lines("warmline_stage_seconds", stage, `stage="${stage}",`)),
    ...lines("warmline_response_seconds", "response", ""),
    'warmline_engine_failures_total{engine="llm"} 1',
    "warmline_llm_restarts_total 1",
    'warmline_frames_dropped_total{side="in"} 3',
    "warmline_calls_refused_total 0",
    "warmline_records_lost_total 0",
  ].join("\n");
}

/** A made-up day by intervals: busy before and after noon. */
export function intervals(query) {
  const every = Number(query.get("every_s")) * 1_000;
  const all = [];
  for (let from = Date.parse(query.get("since")); from < Date.now(); from += every) {
    const n = all.length;
    const queued = Math.max(0, Math.round(9 + 6 * Math.sin(n / 2.7) + 3 * Math.sin(n * 1.9)));
    const abandoned = n % 5 === 2 ? Math.min(queued, 2) : 0;
    const handled = Math.max(0, queued - abandoned - (n % 4 === 1 ? 1 : 0));
    const figures = { queued, handled, abandoned, interrupted: 0, service_level_s: 20, service_level: queued === 0 ? null : Math.min(1, 0.72 + 0.25 * Math.sin(n / 3)), wait_p90_ms: queued === 0 ? null : 9_000 + 3_000 * (n % 7) };
    all.push({ from: new Date(from).toISOString(), until: new Date(Math.min(from + every, Date.now())).toISOString(), figures });
  }
  return all;
}

const figures = (queued, waiting, service_level, asa_ms, abandonment_rate) => ({ queued, waiting, service_level_s: 20, service_level, asa_ms, abandonment_rate, aht_ms: 284_000 });

/** The last half-hour of the busy moment. */
export function liveNumbers({ waiting, longest_ms }) {
  return {
    at: new Date().toISOString(),
    waiting,
    longest_ms,
    agents: {},
    window_s: 1_800,
    figures: { ...figures(23, 2, 0.78, 16_400, 0.09), time: { occupancy: 0.83 } },
    queues: { billing: figures(14, 1, 0.86, 11_200, 0.07), orders: figures(7, 1, 0.71, 21_900, 0.14), returns: figures(2, 0, null, null, 0) },
  };
}

/** What each of them did today. */
export function agentNumbers() {
  const day = { alex: [14, 0.86], kim: [11, 0.79], robin: [17, 0.93], noor: [9, 0.71], lee: [1, 0.64] };
  return Object.entries(day).map(([agent_id, [handled, occupancy]]) => ({ agent_id, figures: { handled, time: { occupancy } } }));
}

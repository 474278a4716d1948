import { assert, test } from "vitest";

import { histogramOf, quantile, samplesOf, since, total } from "./metrics";

const SCRAPE = `
# HELP warmline_stage_seconds Time of a stage.
# TYPE warmline_stage_seconds histogram
warmline_stage_seconds_bucket{stage="stt",le="0.1"} 2
warmline_stage_seconds_bucket{stage="stt",le="0.2"} 6
warmline_stage_seconds_bucket{stage="stt",le="+Inf"} 8
warmline_stage_seconds_bucket{stage="llm",le="0.1"} 1
warmline_stage_seconds_sum{stage="stt"} 1.5
warmline_calls_live 3
warmline_frames_dropped_total{side="in",why="a \\"quoted\\" word"} 4
warmline_frames_dropped_total{side="out"} 1
not a sample
`;

test("samples are read with their labels, what is none is left out", () => {
  const samples = samplesOf(SCRAPE);
  assert.strictEqual(samples.length, 8);
  assert.deepInclude(samples, { name: "warmline_calls_live", labels: {}, value: 3 });
  assert.strictEqual(samples.find(({ labels }) => labels["side"] === "in")?.labels["why"], 'a "quoted" word');
  assert.strictEqual(total(samples, "warmline_frames_dropped_total"), 5);
});

test("a quantile lies inside its bucket, the last one counts as its lower end", () => {
  const stt = histogramOf(samplesOf(SCRAPE), "warmline_stage_seconds", { stage: "stt" });
  assert.deepEqual(stt, [
    { le: 0.1, count: 2 },
    { le: 0.2, count: 6 },
    { le: Infinity, count: 8 },
  ]);
  assert.closeTo(quantile(stt, 0.5) ?? 0, 0.15, 1e-9);
  assert.strictEqual(quantile(stt, 0.95), 0.2);
  assert.isNull(quantile([], 0.5));
});

test("between two scrapes only what is new counts, after a restart everything", () => {
  const before = [
    { le: 1, count: 5 },
    { le: Infinity, count: 6 },
  ];
  const after = [
    { le: 1, count: 7 },
    { le: Infinity, count: 9 },
  ];
  assert.deepEqual(since(before, after), [
    { le: 1, count: 2 },
    { le: Infinity, count: 3 },
  ]);
  assert.deepEqual(since(after, before), before);
});

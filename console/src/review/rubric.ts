// The one rubric that the assistant and people are scored on.

import type { CallDetail, Rubric, ScoreRecord } from "../api/types";

export const CRITERIA = ["resolved", "correct", "effort", "tone"] as const;
export type Criterion = (typeof CRITERIA)[number];
export const POINTS = [1, 2, 3, 4, 5] as const;
export const NO_POINTS: Rubric = { resolved: null, correct: null, effort: null, tone: null };

/** Whoever led a part of the call: the assistant is null. */
export function partsOf({ turns, handoffs }: CallDetail): (string | null)[] {
  const spoke = turns.flatMap(({ agent_id }) => agent_id ?? []);
  // What a person at a telephone said, we did not hear.
  const took = handoffs.flatMap(({ agent_id }) => agent_id ?? []).filter((id) => id !== "telephone");
  const agents = [...new Set([...spoke, ...took])];
  return turns.some(({ who }) => who === "assistant") ? [null, ...agents] : agents;
}

/** The scores of one part. */
export function scoresOf(scores: readonly ScoreRecord[], part: string | null): ScoreRecord[] {
  return scores.filter(({ agent_id }) => (agent_id ?? null) === part);
}

/** Mean of the points that were given; null when there are none. */
export function mean(scores: readonly Rubric[]): number | null {
  const points = scores.flatMap((score) => CRITERIA.flatMap((criterion) => score[criterion] ?? []));
  return points.length === 0 ? null : points.reduce((sum, each) => sum + each, 0) / points.length;
}

/** `scores` with `score` in the place of the same person's earlier one. */
export function withScore(scores: readonly ScoreRecord[], score: ScoreRecord): ScoreRecord[] {
  const isSame = (each: ScoreRecord): boolean => each.by === score.by && (each.agent_id ?? null) === (score.agent_id ?? null);
  return [...scores.filter((each) => !isSame(each)), score];
}

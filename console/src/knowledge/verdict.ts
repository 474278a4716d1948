// What the assistant would make of what was found.

import type { KnowledgeHits } from "../api/types";
import type { MessageKey } from "../i18n/i18n.svelte";
import type { Tone } from "../ui/toasts.svelte";

export interface Verdict {
  tone: Tone;
  says: MessageKey;
}

export function verdictOf({ hits, verbatim_score, min_score }: KnowledgeHits): Verdict {
  const best = hits[0];
  if (best === undefined) return { tone: "bad", says: "try.nothing" };
  if (best.approved != null && best.approved_score >= verbatim_score) return { tone: "good", says: "try.verbatim" };
  if (best.score >= min_score) return { tone: "warm", says: "try.model" };
  return { tone: "bad", says: "try.unsure" };
}

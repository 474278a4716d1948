// What was said, as a growing list: lines that may still change, and events between them. Pure.

import type { Line, Speaker } from "../api/types";
import type { MessageKey, Values } from "../i18n/i18n.svelte";

/** One thing somebody said. */
export interface Said {
  kind: "said";
  key: string;
  who: Speaker;
  text: string;
  isFinal: boolean;
  /** 0 to 1. */
  confidence: number;
  /** Into the call; null where that is not known. */
  atMs: number | null;
}

/** Something that happened: a key was pressed, hold began. */
export interface Happened {
  kind: "happened";
  key: string;
  says: MessageKey;
  values: Values;
}

export type Entry = Said | Happened;
export type Conversation = readonly Entry[];

/** With one more line, or with the line of the same key replaced. */
export function withSaid(entries: Conversation, said: Said): Conversation {
  const at = entries.findLastIndex((entry) => entry.key === said.key);
  if (at !== -1) return entries.with(at, said);
  // Words of somebody who spoke before others may be known after theirs.
  const place = placeOf(said);
  const later = place === null ? -1 : entries.findIndex((entry) => (placeOf(entry) ?? -1) > place);
  return later === -1 ? [...entries, said] : entries.toSpliced(later, 0, said);
}

/** Its number among the lines of the call; null where it has none. */
function placeOf({ key }: Entry): number | null {
  return key.startsWith("line-") ? Number(key.slice(5)) : null;
}

/** With one more event. */
export function withEvent(entries: Conversation, says: MessageKey, values: Values = {}): Conversation {
  return [...entries, { kind: "happened", key: `event-${entries.length}`, says, values }];
}

/** A line of the agent protocol. */
export function saidOf({ seq, who, text, at_ms, confidence, is_final }: Line): Said {
  return { kind: "said", key: `line-${seq}`, who, text, isFinal: is_final, confidence, atMs: at_ms };
}

/** With every line of a transcript; events that were there stay. */
export function withLines(entries: Conversation, lines: readonly Line[] = []): Conversation {
  const sorted = [...lines].sort((a, b) => a.seq - b.seq);
  return sorted.reduce((all, line) => withSaid(all, saidOf(line)), entries);
}

/** How sure recognition was of a line, in three steps. */
export function sureness({ who, confidence }: Pick<Said, "who" | "confidence">): "sure" | "fair" | "poor" {
  if (who === "assistant" || confidence >= 0.75) return "sure";
  return confidence >= 0.5 ? "fair" : "poor";
}

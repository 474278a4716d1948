// What a supervisor should see to now, the worst first. Pure.

import type { LiveAgent, LiveNumbers, Status } from "../api/types";
import { type MessageKey, type Values, t, word } from "../i18n/i18n.svelte";
import { clock } from "../lib/format";
import { percent, serviceTone } from "./figures";
import type { BoardCall } from "./order";

export interface Alert {
  /** The same as long as it is about the same. */
  key: string;
  tone: "warm" | "bad";
  text: string;
}

export interface Scene {
  calls: readonly BoardCall[];
  agents: readonly LiveAgent[];
  numbers: LiveNumbers | null;
  engines: Status["engines"];
  /** Unix milliseconds. */
  now: number;
}

/** From here on the first caller's wait is seen, then alarming. */
export const LONG_MS = 60_000;
export const TOO_LONG_MS = 120_000;
/** Fewer callers than that say nothing about a queue. */
const FEW = 5;
const THERE: readonly LiveAgent["state"][] = ["available", "reserved", "on_contact", "wrap_up"];

export function alertsOf(scene: Scene): Alert[] {
  const found = [...waiting(scene), ...broken(scene), ...agents(scene), ...service(scene)];
  return found.sort((a, b) => Number(b.tone === "bad") - Number(a.tone === "bad"));
}

function alert(key: string, tone: Alert["tone"], says: MessageKey, values: Values): Alert {
  return { key, tone, text: t(says, values) };
}

/** Callers nobody comes for, in need, or in line for too long. */
function* waiting({ calls, agents, now }: Scene): Generator<Alert> {
  const line = calls.filter(({ stage }) => stage === "waiting");
  if (line.length > 0 && !agents.some(({ state }) => THERE.includes(state))) yield alert("nobody", "bad", "alert.nobody", { n: line.length });
  const distressed = line.filter(({ reason }) => reason === "distress").length;
  if (distressed > 0) yield alert("distress", "bad", "alert.distress", { n: distressed });
  const longest = Math.max(0, ...line.map(({ waitingSince }) => now - (waitingSince ?? now)));
  if (longest > LONG_MS) yield alert("wait", longest > TOO_LONG_MS ? "bad" : "warm", "alert.wait", { time: clock(longest) });
}

function* broken({ engines }: Scene): Generator<Alert> {
  for (const [name, health] of Object.entries(engines)) {
    if (health === "failed") yield alert(`engine-${name}`, "bad", "alert.engine", { engine: word("engine", name) });
  }
}

function* agents({ agents }: Scene): Generator<Alert> {
  for (const { agent_id, name, state } of agents) {
    if (state === "error") yield alert(`agent-${agent_id}`, "bad", "alert.no_sound", { name });
    if (state === "missed") yield alert(`agent-${agent_id}`, "warm", "alert.missed", { name });
  }
}

/** Queues that answered too few in time in the last half-hour. */
function* service({ numbers }: Scene): Generator<Alert> {
  for (const [queue, figures] of Object.entries(numbers?.queues ?? {})) {
    const tone = figures.queued < FEW ? "" : serviceTone(figures);
    if (tone !== "") yield alert(`service-${queue}`, tone, "alert.service", { queue, percent: percent(figures.service_level) });
  }
}

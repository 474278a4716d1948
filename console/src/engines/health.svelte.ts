// How the server and its engines are, asked for again and again while somebody looks.

import { api, take } from "../api/client";
import type { Status } from "../api/types";
import { type Histogram, type Sample, histogramOf, quantile, samplesOf, since, total } from "./metrics";

/** The stages of a turn as the server names them in `warmline_stage_seconds`, in the order they happen. */
export const STAGES = ["endpointing", "stt", "llm", "tts"] as const;
export type Stage = (typeof STAGES)[number];

/** One look at the server. */
export interface Look {
  /** Unix seconds. */
  at: number;
  /** The median of each stage since the look before, in milliseconds; null when nothing happened. */
  stages: Record<Stage, number | null>;
  response: number | null;
}

/** Twenty minutes of looks, one every five seconds. */
const MOST_LOOKS = 240;

export class Health {
  status = $state.raw<Status | null>(null);
  /** What works worse than it should, in the server's words. */
  degraded = $state.raw<readonly string[]>([]);
  samples = $state.raw<readonly Sample[]>([]);
  looks = $state.raw<readonly Look[]>([]);
  problem = $state.raw<unknown>(null);
  #before: Record<string, Histogram> | null = null;

  async look(): Promise<void> {
    try {
      const [status, ready, metrics] = await Promise.all([take(api.GET("/api/v1/status")), readiness(), scrape()]);
      this.status = status;
      this.degraded = ready;
      this.samples = metrics;
      this.#compare(metrics);
      this.problem = null;
    } catch (error) {
      this.problem = error;
    }
  }

  /** The time a share of all answers since the server began kept within, in milliseconds. */
  responseMs(share: number): number | null {
    const seconds = quantile(histogramOf(this.samples, "warmline_response_seconds"), share);
    return seconds === null ? null : seconds * 1_000;
  }

  total(name: string): number {
    return total(this.samples, name);
  }

  #compare(samples: readonly Sample[]): void {
    const now: Record<string, Histogram> = { response: histogramOf(samples, "warmline_response_seconds") };
    for (const stage of STAGES) now[stage] = histogramOf(samples, "warmline_stage_seconds", { stage });
    const before = this.#before;
    this.#before = now;
    if (before === null) return;
    const median = (key: string): number | null => {
      const seconds = quantile(since(before[key] ?? [], now[key] ?? []), 0.5);
      return seconds === null ? null : Math.round(seconds * 1_000);
    };
    const stages = Object.fromEntries(STAGES.map((stage) => [stage, median(stage)])) as Record<Stage, number | null>;
    const look = { at: Math.round(Date.now() / 1_000), stages, response: median("response") };
    this.looks = [...this.looks, look].slice(-MOST_LOOKS);
  }
}

async function readiness(): Promise<string[]> {
  const answer: unknown = await fetch("/readyz", { cache: "no-store" }).then((response) => response.json());
  const list = (key: string): string[] => {
    const found: unknown = typeof answer === "object" && answer !== null ? answer[key as keyof typeof answer] : [];
    return Array.isArray(found) ? found.map(String) : [];
  };
  return [...list("reasons"), ...list("degraded")];
}

async function scrape(): Promise<Sample[]> {
  const response = await fetch("/metrics", { cache: "no-store", credentials: "same-origin" });
  return response.ok ? samplesOf(await response.text()) : [];
}

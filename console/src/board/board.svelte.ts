// What goes on now, asked for again and again while a supervisor looks.

import { api, take } from "../api/client";
import type { LiveDesk } from "../api/types";
import { now } from "../lib/now.svelte";
import { type BoardCall, boardCalls } from "./order";

export class Board {
  live = $state.raw<LiveDesk | null>(null);
  calls = $state.raw<readonly BoardCall[]>([]);
  problem = $state.raw<unknown>(null);
  /** When `live` came: durations in it count from there. */
  #at = $state(0);

  async load(): Promise<void> {
    try {
      const live = await take(api.GET("/api/v1/live"));
      this.#at = Date.now();
      this.calls = boardCalls(live.calls, this.calls, this.#at);
      this.live = live;
      this.problem = null;
    } catch (error) {
      this.problem = error;
    }
  }

  /** A duration of the answer, as it is by now. */
  since(ms: number): number {
    return ms + Math.max(0, now.ms - this.#at);
  }

  nameOf(id: string | null | undefined): string | null {
    return this.live?.agents.find((agent) => agent.agent_id === id)?.name ?? null;
  }
}

// What this agent did today, counted by the server since midnight where the agent is.

import { api, take } from "../api/client";
import type { AgentDay } from "../api/types";

class Day {
  counts = $state.raw<AgentDay | null>(null);

  /** Asks again. A failure leaves the last counts: they are no reason to disturb anybody. */
  async load(): Promise<void> {
    const midnight = new Date();
    midnight.setHours(0, 0, 0, 0);
    const query = { since: midnight.toISOString() };
    this.counts = await take(api.GET("/api/v1/day", { params: { query } })).catch(() => this.counts);
  }
}

export const day = new Day();

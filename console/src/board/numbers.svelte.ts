// The contact centre in numbers: of the last half-hour, and of each agent's day.

import { api, take } from "../api/client";
import type { AgentFigures, LiveNumbers, Status } from "../api/types";

export class Numbers {
  live = $state.raw<LiveNumbers | null>(null);
  engines = $state.raw<Status["engines"]>({});
  /** By agent, since the day began here. */
  byAgent = $state.raw<ReadonlyMap<string, AgentFigures>>(new Map());

  /** What fails keeps what was there: the next look is near. */
  async look(): Promise<void> {
    const [live, engines] = await Promise.all([
      take(api.GET("/api/v1/metrics/live")).catch(() => this.live),
      take(api.GET("/api/v1/status")).then((status) => status.engines, () => this.engines),
    ]);
    this.live = live;
    this.engines = engines;
  }

  /** A whole day of records: asked for less often. */
  async lookAtAgents(): Promise<void> {
    const since = startOfDay(new Date()).toISOString();
    const agents = await take(api.GET("/api/v1/metrics/agents", { params: { query: { since } } })).catch(() => null);
    if (agents !== null) this.byAgent = new Map(agents.map(({ agent_id, figures }) => [agent_id, figures]));
  }
}

function startOfDay(now: Date): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate());
}

// Shifts: one's own and those that are open; all of them, and who there is, for supervisors.

import { api, take } from "../api/client";
import type { OpenShiftRecord, Person, ShiftRecord } from "../api/types";

export class Shifts {
  shifts = $state.raw<readonly ShiftRecord[] | null>(null);
  open = $state.raw<readonly OpenShiftRecord[]>([]);
  people = $state.raw<readonly Person[]>([]);
  problem = $state.raw<unknown>(null);

  constructor(readonly plans: boolean) {}

  async load(): Promise<void> {
    try {
      const [shifts, open, people] = await Promise.all([
        take(api.GET("/api/v1/shifts")),
        take(api.GET("/api/v1/open-shifts")),
        this.plans ? take(api.GET("/api/v1/people")) : [],
      ]);
      Object.assign(this, { shifts, open, people, problem: null });
    } catch (error) {
      this.problem = error;
    }
  }

  /** Does something, and looks again either way: somebody else may have been faster. */
  async #then(request: Promise<unknown>): Promise<void> {
    try {
      await request;
    } finally {
      await this.load();
    }
  }

  take(id: string): Promise<void> {
    return this.#then(take(api.POST("/api/v1/open-shifts/{id}/take", { params: { path: { id } } })));
  }

  giveBack(id: string): Promise<void> {
    return this.#then(take(api.POST("/api/v1/shifts/{id}/give-back", { params: { path: { id } } })));
  }

  /** For one agent, or, without, for `people` who want it. */
  plan(block: { began_at: string; ended_at: string }, agent: string | null, people: number): Promise<void> {
    return this.#then(
      agent === null
        ? take(api.POST("/api/v1/open-shifts", { body: { ...block, people } }))
        : take(api.POST("/api/v1/shifts", { body: { ...block, agent_id: agent } })),
    );
  }

  release(id: string): Promise<void> {
    return this.#then(take(api.POST("/api/v1/shifts/{id}/release", { params: { path: { id } } })));
  }

  withdraw(id: string): Promise<void> {
    return this.#then(take(api.DELETE("/api/v1/open-shifts/{id}", { params: { path: { id } } })));
  }

  nameOf(id: string): string | null {
    return this.people.find((person) => person.id === id)?.name ?? null;
  }
}

// The list of calls: the newest page is asked for again and again, older ones once.

import { api, take } from "../api/client";
import type { CallRecord } from "../api/types";

const PAGE = 50;

export class CallList {
  calls = $state.raw<readonly CallRecord[] | null>(null);
  /** `before` of the next older page; null on the last one. */
  next = $state<string | null>(null);
  problem = $state.raw<unknown>(null);
  loading = $state(false);

  async start(): Promise<void> {
    this.problem = null;
    try {
      const page = await this.#load();
      this.calls = page.calls;
      this.next = page.next ?? null;
    } catch (error) {
      this.problem = error;
    }
  }

  async older(): Promise<void> {
    if (this.next === null || this.loading) return;
    this.loading = true;
    try {
      const page = await this.#load(this.next);
      this.calls = merged(this.calls ?? [], page.calls);
      this.next = page.next ?? null;
    } finally {
      this.loading = false;
    }
  }

  /** New calls, and what changed of the newest. A failure is no news. */
  async refresh(): Promise<void> {
    if (this.calls === null) return;
    const page = await this.#load().catch(() => null);
    if (page !== null) this.calls = merged(page.calls, this.calls);
  }

  #load(before?: string): Promise<{ calls: CallRecord[]; next?: string | null }> {
    const query = before === undefined ? { limit: PAGE } : { limit: PAGE, before };
    return take(api.GET("/api/v1/calls", { params: { query } }));
  }
}

/** `first`, then those of `second` that are not in it. */
function merged(first: readonly CallRecord[], second: readonly CallRecord[]): CallRecord[] {
  const known = new Set(first.map(({ id }) => id));
  return [...first, ...second.filter(({ id }) => !known.has(id))];
}

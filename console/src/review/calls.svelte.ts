// The list of calls: the newest page is asked for again and again, older ones once.

import { api, take } from "../api/client";
import type { CallRecord } from "../api/types";
import type { CallQuery } from "./filter";

const PAGE = 50;

export class CallList {
  calls = $state.raw<readonly CallRecord[] | null>(null);
  /** `before` of the next older page; null on the last one. */
  next = $state<string | null>(null);
  problem = $state.raw<unknown>(null);
  loading = $state(false);
  #query: CallQuery = {};

  /** Shows the calls that `query` asks for. */
  async start(query: CallQuery): Promise<void> {
    this.problem = null;
    this.#query = query;
    try {
      const page = await this.#load();
      if (this.#query !== query) return; // something else was asked for meanwhile
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
    const query = this.#query;
    if (this.calls === null) return;
    const page = await this.#load().catch(() => null);
    if (page !== null && this.#query === query) this.calls = merged(page.calls, this.calls);
  }

  #load(before?: string): Promise<{ calls: CallRecord[]; next?: string | null }> {
    const query = { ...this.#query, limit: PAGE, ...(before === undefined ? {} : { before }) };
    return take(api.GET("/api/v1/calls", { params: { query } }));
  }
}

/** `first`, then those of `second` that are not in it. */
function merged(first: readonly CallRecord[], second: readonly CallRecord[]): CallRecord[] {
  const known = new Set(first.map(({ id }) => id));
  return [...first, ...second.filter(({ id }) => !known.has(id))];
}

// Voice messages and callback wishes: tasks for whoever is there.

import { api, take } from "../api/client";
import type { MessageRecord } from "../api/types";

export class MessageList {
  messages = $state.raw<readonly MessageRecord[] | null>(null);
  all = $state(false);
  problem = $state.raw<unknown>(null);

  readonly openCount = $derived((this.messages ?? []).filter(({ done_at }) => done_at == null).length);

  async load(): Promise<void> {
    const query = { open: !this.all };
    try {
      this.messages = await take(api.GET("/api/v1/messages", { params: { query } }));
      this.problem = null;
    } catch (error) {
      // A list that is there stays; the next try may succeed.
      if (this.messages === null) this.problem = error;
    }
  }

  async choose(all: boolean): Promise<void> {
    this.all = all;
    await this.load();
  }

  async finish(id: string): Promise<void> {
    await take(api.POST("/api/v1/messages/{id}/done", { params: { path: { id } } }));
    await this.load();
  }
}

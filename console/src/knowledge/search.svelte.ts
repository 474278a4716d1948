// What the knowledge base has for a question.

import { api, take } from "../api/client";
import type { KnowledgeHits } from "../api/types";

export class KnowledgeSearch {
  found = $state.raw<KnowledgeHits | null>(null);
  #asked = "";

  /** Asks, unless that was the last question. An older answer that comes late is not shown; a failure shows nothing. */
  async ask(question: string): Promise<void> {
    const q = question.trim();
    if (q === this.#asked) return;
    this.#asked = q;
    if (q === "") {
      this.found = null;
      return;
    }
    const found = await take(api.GET("/api/v1/knowledge/search", { params: { query: { q } } })).catch(() => null);
    if (this.#asked === q) this.found = found;
  }
}

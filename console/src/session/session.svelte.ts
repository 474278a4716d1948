// Who is signed in: asked once, for all staff pages.

import { ApiError, api, take } from "../api/client";
import type { Me } from "../api/types";

type Status = "asking" | "out" | "in" | "failed";

class Session {
  status = $state<Status>("asking");
  me = $state.raw<Me | null>(null);
  problem = $state.raw<unknown>(null);

  async ask(): Promise<void> {
    this.status = "asking";
    try {
      this.entered(await take(api.GET("/api/v1/session")));
    } catch (error) {
      this.problem = error;
      this.status = error instanceof ApiError && error.status === 401 ? "out" : "failed";
    }
  }

  entered(me: Me): void {
    this.me = me;
    this.status = "in";
  }

  async leave(): Promise<void> {
    await take(api.DELETE("/api/v1/session")).catch(() => undefined);
    location.reload();
  }
}

export const session = new Session();

// Keys for programs, for administrators.

import { api, take } from "../api/client";
import type { KeyRecord, UserRole } from "../api/types";

/** Shown once: it is kept nowhere. */
export interface NewKey {
  id: string;
  name: string;
  token: string;
}

export class Keys {
  list = $state.raw<readonly KeyRecord[] | null>(null);
  problem = $state.raw<unknown>(null);
  made = $state.raw<NewKey | null>(null);

  async load(): Promise<void> {
    try {
      this.list = await take(api.GET("/api/v1/keys"));
      this.problem = null;
    } catch (error) {
      this.problem = error;
    }
  }

  async make(name: string, role: UserRole, days: number): Promise<void> {
    const { key, token } = await take(api.POST("/api/v1/keys", { body: { name, role, days } }));
    this.made = { id: key.id, name: key.name, token };
    await this.load();
  }

  async revoke(id: string): Promise<void> {
    await take(api.DELETE("/api/v1/keys/{id}", { params: { path: { id } } }));
    if (this.made?.id === id) this.made = null;
    await this.load();
  }
}

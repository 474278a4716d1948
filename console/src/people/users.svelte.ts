// The accounts, for administrators.

import { api, take } from "../api/client";
import type { User, UserRole } from "../api/types";

/** Shown once: it is kept nowhere. */
export interface OneTimePassword {
  name: string;
  password: string;
}

export class Users {
  list = $state.raw<readonly User[] | null>(null);
  problem = $state.raw<unknown>(null);
  password = $state.raw<OneTimePassword | null>(null);

  async load(): Promise<void> {
    try {
      this.list = await take(api.GET("/api/v1/users"));
      this.problem = null;
    } catch (error) {
      this.problem = error;
    }
  }

  async add(name: string, role: UserRole): Promise<void> {
    const made = await take(api.POST("/api/v1/users", { body: { name, role } }));
    this.password = { name: made.name, password: made.one_time_password };
    await this.load();
  }

  async reset(name: string): Promise<void> {
    const made = await take(api.POST("/api/v1/users/{name}/password", { params: { path: { name } } }));
    this.password = { name: made.name, password: made.one_time_password };
    await this.load();
  }

  async remove(name: string): Promise<void> {
    await take(api.DELETE("/api/v1/users/{name}", { params: { path: { name } } }));
    if (this.password?.name === name) this.password = null;
    await this.load();
  }
}

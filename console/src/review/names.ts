// Names for agents' ids, as far as this account may know them: supervisors all, others their own.

import { api, take } from "../api/client";
import type { Me } from "../api/types";
import { includes } from "../app/routes";
import { t } from "../i18n/i18n.svelte";

export type NameOf = (id: string | null | undefined) => string;

export async function agentNames(me: Me): Promise<NameOf> {
  const users = includes(me.role, "supervisor") ? await take(api.GET("/api/v1/people")).catch(() => []) : [];
  const names = new Map<string, string>([[me.id, me.name], ...users.map(({ id, name }) => [id, name] as const)]);
  return (id) => names.get(id ?? "") ?? t(id === "telephone" ? "review.the_telephone" : "review.an_agent");
}

// Which page an address shows. `src/web/console/mod.rs` serves the same addresses.

import type { Component } from "svelte";

import type { UserRole } from "../api/types";
import type { IconName } from "../ui/icons";
import type { MessageKey } from "../i18n/i18n.svelte";

/** A page takes what it needs from the router. */
export type Page = Component<Record<string, never>>;

export interface Route {
  pattern: RegExp;
  load: () => Promise<{ default: Page }>;
  /** Who may see it; null: everybody, without signing in. */
  least: UserRole | null;
}

/** An entry of the staff pages' menu. */
export interface MenuEntry {
  href: string;
  icon: IconName;
  name: MessageKey;
  least: UserRole;
}

const ROUTES: readonly Route[] = [
  { pattern: /^\/$/, load: () => import("../caller/CallerPage.svelte"), least: null },
  { pattern: /^\/widget$/, load: () => import("../caller/WidgetPage.svelte"), least: null },
  { pattern: /^\/agent$/, load: () => import("../desk/DeskPage.svelte"), least: "agent" },
  { pattern: /^\/messages$/, load: () => import("../messages/MessagesPage.svelte"), least: "agent" },
  { pattern: /^\/calls$/, load: () => import("../review/CallsPage.svelte"), least: "agent" },
  { pattern: /^\/calls\/([^/]+)$/, load: () => import("../review/CallPage.svelte"), least: "agent" },
  { pattern: /^\/shifts$/, load: () => import("../shifts/ShiftsPage.svelte"), least: "agent" },
  { pattern: /^\/wallboard$/, load: () => import("../board/BoardPage.svelte"), least: "supervisor" },
  { pattern: /^\/knowledge$/, load: () => import("../knowledge/KnowledgePage.svelte"), least: "agent" },
  { pattern: /^\/knowledge\/([^/]+)$/, load: () => import("../knowledge/EditPage.svelte"), least: "supervisor" },
  { pattern: /^\/configuration$/, load: () => import("../configuration/ConfigurationPage.svelte"), least: "supervisor" },
  { pattern: /^\/setup$/, load: () => import("../setup/SetupPage.svelte"), least: "admin" },
  { pattern: /^\/engines$/, load: () => import("../engines/EnginesPage.svelte"), least: "supervisor" },
  { pattern: /^\/people$/, load: () => import("../people/PeoplePage.svelte"), least: "admin" },
];

const NOWHERE: Route = { pattern: /^/, load: () => import("./NotFoundPage.svelte"), least: null };

export const MENU: readonly MenuEntry[] = [
  { href: "/agent", icon: "headset", name: "menu.desk", least: "agent" },
  { href: "/messages", icon: "voicemail", name: "menu.messages", least: "agent" },
  { href: "/calls", icon: "list", name: "menu.calls", least: "agent" },
  { href: "/shifts", icon: "calendar", name: "menu.shifts", least: "agent" },
  { href: "/knowledge", icon: "book", name: "menu.knowledge", least: "agent" },
  { href: "/wallboard", icon: "bars", name: "menu.board", least: "supervisor" },
  { href: "/engines", icon: "gauge", name: "menu.engines", least: "supervisor" },
  { href: "/configuration", icon: "sliders", name: "menu.configuration", least: "supervisor" },
  { href: "/setup", icon: "plug", name: "menu.setup", least: "admin" },
  { href: "/people", icon: "people", name: "menu.people", least: "admin" },
];

/** The route of a path, with what its pattern found. */
export function routeOf(path: string): { route: Route; id: string } {
  const bare = path.length > 1 ? path.replace(/\/+$/, "") : path;
  for (const route of ROUTES) {
    const found = route.pattern.exec(bare);
    if (found !== null) return { route, id: decodeURIComponent(found[1] ?? "") };
  }
  return { route: NOWHERE, id: "" };
}

const RANKS: readonly UserRole[] = ["agent", "supervisor", "admin"];

/** Whether `role` includes what `least` may do. */
export function includes(role: UserRole, least: UserRole): boolean {
  return RANKS.indexOf(role) >= RANKS.indexOf(least);
}

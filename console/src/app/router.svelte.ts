// The address of the page: links inside the console change it without leaving the tab, so a call goes on.

import type { Component, Snippet } from "svelte";

import type { UserRole } from "../api/types";
import { type Page, type Route, routeOf } from "./routes";

type Frame = Component<{ least: UserRole; children: Snippet }>;

interface Shown {
  path: string;
  route: Route;
  /** What stands behind the path, such as a call's id. */
  id: string;
  page: Page;
  /** What stands around it; null: nothing. */
  frame: Frame | null;
}

class Router {
  shown = $state.raw<Shown | null>(null);
  /** The part of the address behind `?`. */
  query = $state.raw(new URLSearchParams(location.search));
  #wanted = "";

  /** Shows the page of the address the tab was opened with. */
  async start(): Promise<void> {
    window.addEventListener("popstate", () => void this.#show());
    document.addEventListener("click", (event) => this.#clicked(event));
    await this.#show();
  }

  /** Goes to another page of the console. */
  async go(href: string): Promise<void> {
    history.pushState(null, "", href);
    await this.#show();
    window.scrollTo(0, 0);
    document.getElementById("main")?.focus({ preventScroll: true });
  }

  /** Changes what stands behind `?` without a new entry in the history. */
  setQuery(query: URLSearchParams): void {
    const text = query.toString();
    history.replaceState(null, "", text === "" ? location.pathname : `?${text}`);
    this.query = query;
  }

  async #show(): Promise<void> {
    const path = location.pathname;
    this.#wanted = path;
    const { route, id } = routeOf(path);
    // Callers don't load what only the staff's pages need.
    const around = route.least === null ? null : import("../session/SignedIn.svelte");
    const [{ default: page }, frame] = await Promise.all([route.load(), around]);
    if (this.#wanted !== path) return; // somebody clicked on while this was loading
    this.query = new URLSearchParams(location.search);
    this.shown = { path, route, id, page, frame: frame?.default ?? null };
  }

  #clicked(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.target !== "" || link.hasAttribute("download") || link.origin !== location.origin) return;
    const { pathname, search, hash } = new URL(link.href);
    if (hash !== "" && pathname === location.pathname) return; // a place on this page
    event.preventDefault();
    void this.go(pathname + search);
  }
}

export const router = new Router();

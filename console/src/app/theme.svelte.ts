// Light or dark: as the system says, unless the person chose.

import { recall, remember } from "../lib/storage";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const STORED = "warmline-theme";

class ThemeChoice {
  chosen = $state<Theme>("system");

  start(): void {
    const stored = recall(STORED);
    this.#show(THEMES.find((theme) => theme === stored) ?? "system");
  }

  choose(theme: Theme): void {
    remember(STORED, theme);
    this.#show(theme);
  }

  #show(theme: Theme): void {
    this.chosen = theme;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }
}

export const theme = new ThemeChoice();

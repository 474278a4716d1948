/** Runs `action` every `ms` while the component is shown and the tab is seen. Call it while the component is made. */
import { onDestroy } from "svelte";

export function everySoOften(ms: number, action: () => Promise<void>): void {
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") void action();
  }, ms);
  onDestroy(() => clearInterval(timer));
}

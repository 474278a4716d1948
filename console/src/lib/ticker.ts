// Four ticks a second for everything that counts time, also while the tab is hidden.

import TickerWorker from "./ticker.worker?worker";

const listeners = new Set<() => void>();
let worker: Worker | null = null;

/** Calls `listener` about every 250 ms until the returned function is called. */
export function onTick(listener: () => void): () => void {
  if (worker === null) {
    worker = new TickerWorker();
    worker.onmessage = () => {
      for (const each of [...listeners]) each();
    };
  }
  listeners.add(listener);
  return () => listeners.delete(listener);
}

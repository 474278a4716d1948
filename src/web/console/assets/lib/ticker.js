// Four ticks a second for everything that counts time, also while the tab is hidden.

const listeners = new Set();
let worker = null;

/** Calls `listener` about every 250 ms until the returned function is called. */
export function onTick(listener) {
  if (worker === null) {
    worker = new Worker(new URL("./ticker.worker.js", import.meta.url));
    worker.onmessage = () => {
      for (const each of [...listeners]) each();
    };
  }
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// One animation frame loop for all meters.

const listeners = new Set<() => void>();
let running = false;

function draw(): void {
  running = listeners.size > 0;
  if (running) requestAnimationFrame(draw);
  for (const each of listeners) each();
}

/** Calls `listener` before each frame is drawn, until the returned function is called. */
export function onFrame(listener: () => void): () => void {
  listeners.add(listener);
  if (!running) {
    running = true;
    requestAnimationFrame(draw);
  }
  return () => listeners.delete(listener);
}

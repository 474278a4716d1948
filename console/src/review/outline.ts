import { type Outline, OutlineReader } from "./wav";

/** Fetches a recording and outlines it; null when it can't be had. */
export async function outlineOf(source: string, signal: AbortSignal): Promise<Outline | null> {
  const response = await fetch(source, { signal, credentials: "same-origin" });
  if (!response.ok || response.body === null) return null;
  const reader = new OutlineReader();
  const pieces = response.body.getReader();
  for (;;) {
    const { done, value } = await pieces.read();
    if (done) return reader.outline;
    reader.push(value);
  }
}

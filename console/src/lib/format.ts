// Numbers, times and names as people read them. Pure.

const SECOND = 1_000;

function parts(seconds: number): [h: number, m: number, s: number] {
  return [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
}

/** 65 000 → `1:05`; hours only when there are any. */
export function clock(ms: number): string {
  const [h, m, s] = parts(Math.max(0, Math.floor(ms / SECOND)));
  const two = (n: number): string => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** 65 000 → `1 min 5 s`, for a screen reader and for prose. */
export function duration(ms: number): string {
  const [h, m, s] = parts(Math.max(0, Math.round(ms / SECOND)));
  const said = [h > 0 && `${h} h`, m > 0 && `${m} min`, h === 0 && (s > 0 || m === 0) && `${s} s`];
  return said.filter(Boolean).join(" ");
}

/** `follow_up` → `Follow up`. */
export function words(name: string): string {
  const spaced = name.replaceAll("_", " ").trim();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** Milliseconds between two RFC 3339 times; null while one of them is missing. */
export function between(from: string, to: string | null | undefined): number | null {
  const ms = to == null ? Number.NaN : Date.parse(to) - Date.parse(from);
  return Number.isFinite(ms) ? ms : null;
}

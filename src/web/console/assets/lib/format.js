// Numbers, times and names as people read them. Pure.

/** 65 000 → `1:05`; hours only when there are any. */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** 65 000 → `1 min 5 s`, for a screen reader and for prose. */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const parts = [h > 0 && `${h} h`, m > 0 && `${m} min`, (s > 0 || seconds === 0) && h === 0 && `${s} s`];
  return parts.filter(Boolean).join(" ");
}

/** An RFC 3339 time as local date and time; today only the time. */
export function when(text, now = new Date()) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return "";
  const sameDay = time.toDateString() === now.toDateString();
  const options = sameDay
    ? { hour: "numeric", minute: "2-digit" }
    : { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" };
  if (!sameDay && time.getFullYear() !== now.getFullYear()) options.year = "numeric";
  const shown = new Intl.DateTimeFormat(undefined, options).format(time);
  return sameDay ? `Today, ${shown}` : shown;
}

/** `follow_up` → `Follow up`. */
export function words(name) {
  const spaced = String(name).replaceAll("_", " ").trim();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** A count with its noun. */
export function count(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

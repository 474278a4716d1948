// Shifts by the day they begin on, where the reader is. Pure.

/** A block of time. */
export interface Block {
  id: string;
  began_at: string;
  ended_at: string;
}

export interface Day<B extends Block> {
  /** `2026-01-12`, in the reader's zone. */
  date: string;
  blocks: B[];
}

/** In the order of time; days without blocks are left out. */
export function byDay<B extends Block>(blocks: readonly B[]): Day<B>[] {
  const days = new Map<string, B[]>();
  for (const block of [...blocks].sort((a, b) => Date.parse(a.began_at) - Date.parse(b.began_at))) {
    const date = dateOf(new Date(block.began_at));
    days.set(date, [...(days.get(date) ?? []), block]);
  }
  return [...days].map(([date, of]) => ({ date, blocks: of }));
}

/** `2026-01-12`, in the reader's zone. */
export function dateOf(time: Date): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/** A day with two times of day as a block; an end at or before the beginning is on the next day. null: not filled in. */
export function blockOf(date: string, from: string, to: string): { began_at: string; ended_at: string } | null {
  const began = new Date(`${date}T${from}`);
  const ended = new Date(`${date}T${to}`);
  if (Number.isNaN(began.getTime()) || Number.isNaN(ended.getTime())) return null;
  if (ended <= began) ended.setDate(ended.getDate() + 1);
  return { began_at: began.toISOString(), ended_at: ended.toISOString() };
}

/** The same open shift for several people: how many of each. */
export function stacked<B extends Block>(blocks: readonly B[]): { first: B; count: number }[] {
  const stacks: { first: B; count: number }[] = [];
  for (const block of blocks) {
    const same = stacks.find(({ first }) => first.began_at === block.began_at && first.ended_at === block.ended_at);
    if (same === undefined) stacks.push({ first: block, count: 1 });
    else same.count += 1;
  }
  return stacks;
}

/** Whether two blocks share time. */
export function overlap(a: Omit<Block, "id">, b: Omit<Block, "id">): boolean {
  return Date.parse(a.began_at) < Date.parse(b.ended_at) && Date.parse(b.began_at) < Date.parse(a.ended_at);
}

// What `/metrics` says, as far as the engines page shows it. Pure: a reader of the Prometheus text format.

export interface Sample {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** The samples of a scrape; lines it can't read are left out. */
export function samplesOf(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const found = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)$/.exec(line.trim());
    if (found === null) return [];
    const value = Number(found[3]?.replace("+Inf", "Infinity"));
    return Number.isNaN(value) ? [] : [{ name: found[1] ?? "", labels: labelsOf(found[2] ?? ""), value }];
  });
}

function labelsOf(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
  return Object.fromEntries(pairs.map(([, name, value]) => [name ?? "", (value ?? "").replace(/\\(.)/g, "$1")]));
}

/** A histogram's counts so far: how many took at most so many seconds. */
export type Histogram = { le: number; count: number }[];

/** The histogram `name` with these labels, summed over all others. */
export function histogramOf(samples: readonly Sample[], name: string, labels: Record<string, string> = {}): Histogram {
  const sums = new Map<number, number>();
  for (const sample of samples) {
    if (sample.name !== `${name}_bucket`) continue;
    if (Object.entries(labels).some(([key, value]) => sample.labels[key] !== value)) continue;
    const le = Number(sample.labels["le"]?.replace("+Inf", "Infinity"));
    sums.set(le, (sums.get(le) ?? 0) + sample.value);
  }
  return [...sums].map(([le, count]) => ({ le, count })).sort((a, b) => a.le - b.le);
}

/** What came between two scrapes. A server that was started anew begins again. */
export function since(before: Histogram, after: Histogram): Histogram {
  const counted = new Map(before.map(({ le, count }) => [le, count]));
  const grown = after.map(({ le, count }) => ({ le, count: count - (counted.get(le) ?? 0) }));
  return grown.some(({ count }) => count < 0) ? after : grown;
}

/** How many, and the time that a share of them kept within, in seconds; null without any. */
export function quantile(histogram: Histogram, share: number): number | null {
  const total = histogram.at(-1)?.count ?? 0;
  if (total === 0) return null;
  const rank = share * total;
  let below = { le: 0, count: 0 };
  for (const bucket of histogram) {
    if (bucket.count >= rank) {
      if (!Number.isFinite(bucket.le)) return below.le;
      const within = (rank - below.count) / Math.max(1e-9, bucket.count - below.count);
      return below.le + within * (bucket.le - below.le);
    }
    below = bucket;
  }
  return below.le;
}

/** The sum of a counter or gauge over all its labels. */
export function total(samples: readonly Sample[], name: string): number {
  return samples.filter((sample) => sample.name === name).reduce((sum, { value }) => sum + value, 0);
}

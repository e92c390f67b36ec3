export interface Spread {
  p50: number;
  p99: number;
  count: number;
}

/** By nearest rank; milliseconds in, milliseconds out. */
export function spread(samples: number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  return { p50: rank(0.5), p99: rank(0.99), count: sorted.length };
}

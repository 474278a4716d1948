/** RMS (0 to 1) to the length of a meter (0 to 1): −54 dBFS is nothing, −9 dBFS is full. */
export function meterLength(rms: number): number {
  if (rms <= 0) return 0;
  return Math.max(0, Math.min(1, (20 * Math.log10(rms) + 54) / 45));
}

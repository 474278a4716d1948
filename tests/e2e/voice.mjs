// Speech-like sound for tests: a buzzing voice with syllables, which noise suppression lets through, unlike a tone.

const RATE = 16_000;

/** `ms` of a voice with fundamental `hz`, as Int16Array at `rate`. */
export function voice(ms, hz = 130, rate = RATE, level = 0.4) {
  const count = Math.round((ms * rate) / 1_000);
  const samples = new Int16Array(count);
  let phase = 0;
  for (let i = 0; i < count; i++) {
    const t = i / rate;
    // Syllables of varying length and pitch; a pause now and then.
    const syllable = Math.max(0, Math.sin(2 * Math.PI * 3.7 * t + 1.3 * Math.sin(2 * Math.PI * 0.9 * t)));
    const pitch = hz * (1 + 0.12 * Math.sin(2 * Math.PI * 0.7 * t) + 0.05 * Math.sin(2 * Math.PI * 2.3 * t));
    phase += (2 * Math.PI * pitch) / rate;
    const formant = 500 + 350 * Math.sin(2 * Math.PI * 1.7 * t);
    let sum = 0;
    for (let k = 1; k <= 20; k++) {
      const f = k * pitch;
      if (f > 3_500) break;
      const weight = 1 / (1 + ((f - formant) / 300) ** 2) + 0.4 / (1 + ((f - 1_700) / 400) ** 2);
      sum += weight * Math.sin(k * phase);
    }
    samples[i] = Math.round(32_767 * Math.max(-1, Math.min(1, level * syllable * sum * 0.4)));
  }
  return samples;
}

/** A voice that speaks at some times, `[from, to]` in ms of the call, and is silent otherwise. */
export function voiceAt(times, hz) {
  return times.map(([from, to]) => ({ at: from, samples: voice(to - from, hz) }));
}

/** A stereo WAV file of what two voices say; it begins when the recording notice was heard. */
export function stereo(ms, sides, begins = 6_200) {
  const samples = new Int16Array(2 * Math.round((ms * RATE) / 1_000));
  for (const [side, spoken] of sides.entries()) {
    for (const { at, samples: voice } of spoken) {
      const first = Math.round(((at - begins) * RATE) / 1_000);
      voice.forEach((sample, i) => (samples[2 * (first + i) + side] = sample));
    }
  }
  return wav(samples, RATE, 2);
}

/** 20 ms frames as Buffers. */
export function frames(samples) {
  const out = [];
  for (let at = 0; at + 320 <= samples.length; at += 320) {
    const frame = samples.slice(at, at + 320);
    out.push(Buffer.from(frame.buffer, 0, 640));
  }
  return out;
}

/** A 16-bit WAV file; `samples` of several channels are interleaved. */
export function wav(samples, rate = RATE, channels = 1) {
  const data = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 2 * channels, 28);
  head.writeUInt16LE(2 * channels, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

/** RMS of 16-bit little-endian PCM, 0 to 1. */
export function rms(buffer) {
  let sum = 0;
  for (let at = 0; at + 1 < buffer.length; at += 2) sum += (buffer.readInt16LE(at) / 32_768) ** 2;
  return Math.sqrt(sum / Math.max(1, buffer.length / 2));
}

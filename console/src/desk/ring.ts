// Getting an agent's attention: a soft two-note ring, a notification when the tab is hidden, and the tab's title.

const NOTES = [659.26, 830.61]; // E5, G♯5
const EVERY_S = 2.4;

/** Where the ring sounds; null while the browser lets no sound out. */
interface Sounding {
  readonly context: AudioContext | null;
  readonly audible: boolean;
}

/** Rings until `stop`, planned on the sound card's clock so that a hidden tab keeps ringing. */
export class Ring {
  /** What the tab is called while it rings; null while it does not. */
  headline: string | null = null;
  #gain: GainNode | null = null;
  #notification: Notification | null = null;

  constructor(private readonly voice: Sounding) {}

  /** Starts for `seconds` at most. */
  start(seconds: number, headline: string, detail: string): void {
    this.stop();
    this.headline = headline;
    this.#sound(seconds);
    if (document.visibilityState === "visible" || !("Notification" in window)) return;
    if (Notification.permission !== "granted") return;
    try {
      const notification = new Notification(headline, { body: detail, tag: "warmline-offer", requireInteraction: true });
      notification.onclick = () => {
        window.focus();
        notification.close();
      };
      this.#notification = notification;
    } catch {
      // Some phones allow notifications only to service workers.
    }
  }

  /** Is quiet at once. */
  stop(): void {
    this.headline = null;
    if (this.#gain !== null) {
      const gain = this.#gain;
      gain.gain.setTargetAtTime(0, this.voice.context?.currentTime ?? 0, 0.02);
      setTimeout(() => gain.disconnect(), 200);
      this.#gain = null;
    }
    this.#notification?.close();
    this.#notification = null;
  }

  #sound(seconds: number): void {
    const { context, audible } = this.voice;
    if (context === null || !audible) return;
    const gain = context.createGain();
    gain.gain.value = 0.25;
    gain.connect(context.destination);
    this.#gain = gain;
    for (let at = 0; at < seconds; at += EVERY_S) {
      for (const [i, hz] of NOTES.entries()) note(context, gain, hz, context.currentTime + 0.05 + at + i * 0.18);
    }
  }
}

function note(context: AudioContext, out: AudioNode, hz: number, at: number): void {
  const envelope = context.createGain();
  envelope.gain.setValueAtTime(0, at);
  envelope.gain.linearRampToValueAtTime(1, at + 0.015);
  envelope.gain.exponentialRampToValueAtTime(0.001, at + 0.9);
  envelope.connect(out);
  const tone = context.createOscillator();
  tone.frequency.value = hz;
  tone.connect(envelope);
  tone.start(at);
  tone.stop(at + 0.95);
}

// Getting an agent's attention: a soft two-note ring, a notification when the tab is hidden, and the tab's title.

const NOTES = [659.26, 830.61]; // E5, G♯5
const EVERY_S = 2.4;

/** Rings until `stop`, planned on the sound card's clock so that a hidden tab keeps ringing. */
export class Ring {
  constructor(voice) {
    this.voice = voice;
    this.gain = null;
    this.notification = null;
    this.title = document.title;
  }

  /** Starts for `seconds` at most. */
  start(seconds, headline, detail) {
    this.stop();
    this.#sound(seconds);
    document.title = `● ${headline}`;
    if (document.visibilityState === "visible" || window.Notification?.permission !== "granted") return;
    try {
      this.notification = new Notification(headline, { body: detail, tag: "warmline-offer", requireInteraction: true });
      this.notification.onclick = () => {
        window.focus();
        this.notification?.close();
      };
    } catch {
      this.notification = null; // some phones allow notifications only to service workers
    }
  }

  /** Is quiet at once. */
  stop() {
    if (this.gain !== null) {
      const { context } = this.voice;
      this.gain.gain.setTargetAtTime(0, context?.currentTime ?? 0, 0.02);
      const gain = this.gain;
      setTimeout(() => gain.disconnect(), 200);
      this.gain = null;
    }
    this.notification?.close();
    this.notification = null;
    document.title = this.title;
  }

  #sound(seconds) {
    const context = this.voice.context;
    if (context === null || context.state !== "running") return;
    const gain = context.createGain();
    gain.gain.value = 0.25;
    gain.connect(context.destination);
    this.gain = gain;
    for (let at = 0; at < seconds; at += EVERY_S) {
      NOTES.forEach((hz, i) => note(context, gain, hz, context.currentTime + 0.05 + at + i * 0.18));
    }
  }
}

function note(context, out, hz, at) {
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

// Choices about sound and keys that this browser remembers.

import { recall, remember } from "../lib/storage";

const STORED = "warmline-sound";

class Settings {
  microphone = $state("");
  speaker = $state("");
  ring = $state(true);
  shortcuts = $state(true);

  constructor() {
    const stored = recall(STORED);
    if (typeof stored !== "object" || stored === null) return;
    const { microphone, speaker, ring, shortcuts } = stored as Record<string, unknown>;
    if (typeof microphone === "string") this.microphone = microphone;
    if (typeof speaker === "string") this.speaker = speaker;
    if (typeof ring === "boolean") this.ring = ring;
    if (typeof shortcuts === "boolean") this.shortcuts = shortcuts;
  }

  save(): void {
    const { microphone, speaker, ring, shortcuts } = this;
    remember(STORED, { microphone, speaker, ring, shortcuts });
  }
}

export const settings = new Settings();

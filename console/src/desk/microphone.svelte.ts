// When the agent's microphone is open: while a call is offered, during it, and for a test; never otherwise.

import { MicrophoneError } from "../audio/microphone";
import type { Voice } from "../audio/voice";
import { t } from "../i18n/i18n.svelte";
import { toasts } from "../ui/toasts.svelte";
import type { Phase } from "./model";
import { settings } from "./settings.svelte";

export class DeskMicrophone {
  /** The agent tries it out. */
  testing = $state(false);
  /** Why an offered call could not be talked to, in a sentence. */
  problem = $state("");

  constructor(
    private readonly voice: Voice,
    private readonly phase: () => Phase,
  ) {}

  /** Asks for it and lets it go again; says whether it works. Asks for notifications too. */
  async tryOut(): Promise<boolean> {
    try {
      await this.voice.openMicrophone(settings.microphone);
    } catch (error) {
      toasts.tell(`${sentence(error)} ${t("microphone.available_later")}`, "bad");
      return false;
    }
    if (!["offer", "joining", "call"].includes(this.phase())) this.release();
    if ("Notification" in window && Notification.permission === "default") {
      void Notification.requestPermission().catch(() => undefined);
    }
    return true;
  }

  /** Opens it while the call is still being offered, so that accepting it takes no time. */
  async warmUp(): Promise<void> {
    this.problem = "";
    try {
      await this.voice.openMicrophone(settings.microphone);
    } catch (error) {
      this.problem = sentence(error);
    }
  }

  /** Opens it for the call that begins or goes on. */
  async talk(): Promise<void> {
    try {
      await this.voice.openMicrophone(settings.microphone);
      await this.voice.resume();
    } catch (error) {
      toasts.tell(`${t("microphone.caller_cant_hear")} ${sentence(error)}`, "bad");
    }
  }

  /** Lets it go, unless it is being tested. */
  release(): void {
    if (!this.testing) this.voice.closeMicrophone();
  }

  /** It was unplugged. */
  async lost(): Promise<void> {
    if (this.phase() !== "call") return;
    toasts.tell(t("microphone.trying_another"), "bad");
    try {
      await this.voice.openMicrophone();
      toasts.tell(t("microphone.heard_again"), "good");
    } catch (error) {
      toasts.tell(`${t("microphone.caller_cant_hear")} ${sentence(error)}`, "bad");
    }
  }

  /** Begins or ends the test. */
  async test(on: boolean): Promise<void> {
    this.testing = on;
    if (!on) {
      if (this.phase() !== "call") this.voice.closeMicrophone();
      return;
    }
    try {
      await this.voice.openMicrophone(settings.microphone);
    } catch (error) {
      this.testing = false;
      toasts.tell(sentence(error), "bad");
    }
  }

  /** Goes on with the microphone that was chosen. */
  async change(): Promise<void> {
    await this.voice.changeMicrophone(settings.microphone).catch((error: unknown) => toasts.tell(sentence(error), "bad"));
  }
}

function sentence(error: unknown): string {
  if (error instanceof MicrophoneError) return error.message;
  console.error(error);
  return t("microphone.unexpected");
}

// The microphones and loudspeakers of this computer. Their names are known once the microphone was allowed.

import { t } from "../i18n/i18n.svelte";

interface Device {
  id: string;
  name: string;
}

class Devices {
  microphones = $state.raw<readonly Device[]>([]);
  speakers = $state.raw<readonly Device[]>([]);
  readonly #canSet = "setSinkId" in AudioContext.prototype;

  constructor() {
    // Missing on pages without https, whatever the types say.
    const media = navigator.mediaDevices as MediaDevices | undefined;
    media?.addEventListener("devicechange", () => void this.list());
  }

  get canChooseSpeaker(): boolean {
    return this.#canSet && this.speakers.length > 0;
  }

  async list(): Promise<void> {
    const media = navigator.mediaDevices as MediaDevices | undefined;
    const all = (await media?.enumerateDevices().catch(() => [])) ?? [];
    this.microphones = named(all, "audioinput");
    this.speakers = named(all, "audiooutput");
  }
}

function named(all: readonly MediaDeviceInfo[], kind: MediaDeviceKind): Device[] {
  const some = all.filter((each) => each.kind === kind && each.deviceId !== "" && each.deviceId !== "default");
  return some.map(({ deviceId, label }, i) => ({ id: deviceId, name: label || t("sound.device", { n: i + 1 }) }));
}

export const devices = new Devices();

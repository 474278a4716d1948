// Asking the browser for a microphone.

import { t } from "../i18n/i18n.svelte";

/** The microphone can't be used; the message says why in a sentence for the person. */
export class MicrophoneError extends Error {
  override readonly name = "MicrophoneError";
}

/** Opens the microphone with this id, or the standard one when the id is empty. */
export async function askForMicrophone(deviceId: string): Promise<MediaStream> {
  // Missing on pages without https, whatever the types say.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices === undefined) throw new MicrophoneError(insecure() ?? t("microphone.no_access"));
  const audio: MediaTrackConstraints = {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    channelCount: 1,
    ...(deviceId === "" ? {} : { deviceId: { ideal: deviceId } }),
  };
  try {
    return await devices.getUserMedia({ audio });
  } catch (error) {
    throw new MicrophoneError(sentence(error instanceof Error ? error.name : ""), { cause: error });
  }
}

/** Why a page without https can't have a call. */
export function insecure(): string | null {
  return window.isSecureContext ? null : t("microphone.insecure");
}

function sentence(name: string): string {
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return t("microphone.not_allowed");
    case "NotFoundError":
    case "OverconstrainedError":
      return t("microphone.not_found");
    case "NotReadableError":
    case "AbortError":
      return t("microphone.in_use");
    default:
      return t("microphone.failed");
  }
}

// Microphone and loudspeaker of one page, as 20 ms frames of 16 kHz PCM.

/** The microphone can't be used; the message says why in a sentence for the person. */
export class MicrophoneError extends Error {
  constructor(message, cause) {
    super(message, { cause });
    this.name = "MicrophoneError";
  }
}

/** One page's sound: opened by a click, closed when nothing needs it. */
export class Voice {
  /** @param {{onFrame?: Function, onMarks?: Function, onMicLost?: Function, onBlocked?: Function}} handlers */
  constructor(handlers = {}) {
    this.handlers = handlers;
    this.context = null;
    this.playback = null;
    this.capture = null;
    this.stream = null;
    this.muted = false;
    this.live = false;
    this.stats = { mic: 0, heard: 0, waiting_ms: 0, underruns: 0, sent: 0, played: 0 };
    this.opening = null;
    this.microphoneOpening = null;
    this.microphoneWanted = 0; // counts closings: an answer to an older question is thrown away
    this.outputId = "";
  }

  /** Whether the browser lets sound out. False until the page was clicked once. */
  get audible() {
    return this.context?.state === "running";
  }

  /** Whether the microphone is open. */
  get listening() {
    return this.stream !== null;
  }

  /** Opens the loudspeaker side. Safe to call again. */
  open() {
    this.opening ??= this.#open().catch((error) => {
      this.opening = null;
      throw error;
    });
    return this.opening;
  }

  async #open() {
    if (window.AudioWorkletNode === undefined) {
      throw new MicrophoneError(insecure() ?? "This browser is too old for calls. Please use a current one.");
    }
    const context = new AudioContext({ latencyHint: "interactive" });
    try {
      await Promise.all(
        ["capture", "playback"].map((name) =>
          context.audioWorklet.addModule(new URL(`./${name}.worklet.js`, import.meta.url)),
        ),
      );
    } catch (error) {
      await context.close();
      throw error;
    }
    this.context = context;
    this.playback = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.playback.port.onmessage = ({ data }) => this.#fromPlayback(data);
    this.playback.connect(context.destination);
    this.setLive(this.live);
    context.onstatechange = () => {
      // A telephone call on the same device interrupts the sound; it comes back here.
      if (context.state === "interrupted" || context.state === "suspended") this.resume();
    };
    if (this.outputId !== "") await this.setOutput(this.outputId);
    await this.resume();
  }

  /** Tries to let sound out; `onBlocked` hears whether a click is still needed. */
  async resume() {
    if (this.context === null || this.context.state === "closed") return;
    const tried = this.context.resume().catch(() => {});
    await Promise.race([tried, new Promise((done) => setTimeout(done, 400))]);
    this.handlers.onBlocked?.(!this.audible);
  }

  /** Opens the microphone; asks the person the first time. Throws MicrophoneError. */
  async openMicrophone(deviceId) {
    // One question at a time; the second waits for the first and finds the microphone open.
    while (this.microphoneOpening !== null) await this.microphoneOpening.catch(() => {});
    this.microphoneOpening = this.#openMicrophone(deviceId).finally(() => {
      this.microphoneOpening = null;
    });
    return this.microphoneOpening;
  }

  async #openMicrophone(deviceId) {
    if (this.stream !== null) return;
    const wanted = this.microphoneWanted;
    const stream = await askForMicrophone(deviceId);
    try {
      await this.open();
      if (wanted !== this.microphoneWanted) throw new MicrophoneError("The microphone is no longer needed.");
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
    const source = this.context.createMediaStreamSource(stream);
    const capture = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 1, outputChannelCount: [1] });
    capture.port.postMessage({ type: "mute", on: this.muted });
    capture.port.onmessage = ({ data }) => {
      if (this.capture?.node !== capture) return;
      this.stats.mic = data.level;
      this.handlers.onFrame?.(data.pcm);
    };
    // Its output stays silent; the connection only makes every browser run it.
    source.connect(capture).connect(this.context.destination);
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.closeMicrophone();
      this.handlers.onMicLost?.();
    });
    this.stream = stream;
    this.capture = { node: capture, source };
    await this.resume();
  }

  /** Goes on with another microphone, if one is open. */
  async changeMicrophone(deviceId) {
    if (!this.listening) return;
    this.closeMicrophone();
    await this.openMicrophone(deviceId);
  }

  /** Lets the microphone go; the browser's recording sign goes out. */
  closeMicrophone() {
    this.microphoneWanted += 1;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.capture?.source.disconnect();
    this.capture?.node.disconnect();
    this.capture?.node.port.postMessage({ type: "stop" });
    this.stream = null;
    this.capture = null;
    this.stats.mic = 0;
  }

  /** Frames become silence while on. */
  setMuted(on) {
    this.muted = on;
    this.capture?.node.port.postMessage({ type: "mute", on });
  }

  /** Plays to another device where the browser can. */
  async setOutput(deviceId) {
    this.outputId = deviceId;
    if (this.context?.setSinkId !== undefined) await this.context.setSinkId(deviceId).catch(() => {});
  }

  /** Queues one frame of PCM. */
  play(pcm) {
    if (this.playback === null) return;
    this.stats.played += 1;
    this.playback.port.postMessage({ type: "audio", pcm }, [pcm]);
  }

  /** Asks to be told when everything queued so far was heard. */
  mark(id) {
    if (this.playback === null) this.handlers.onMarks?.([id]);
    else this.playback.port.postMessage({ type: "mark", id });
  }

  /** Says whether what comes is a person's live voice: then no delay is left to build up. */
  setLive(on) {
    this.live = on;
    this.playback?.port.postMessage({ type: "live", on });
  }

  /** Throws away what is queued; its marks come back at once. */
  clear() {
    this.playback?.port.postMessage({ type: "clear" });
  }

  #fromPlayback(message) {
    if (this.context === null) return; // said while closing
    if (message.type === "marks") {
      this.handlers.onMarks?.(message.ids);
      return;
    }
    this.stats.heard = message.level;
    this.stats.waiting_ms = message.waiting_ms;
    this.stats.underruns = message.underruns;
    const seconds = (this.context.outputLatency ?? 0) || (this.context.baseLatency ?? 0);
    if (Math.abs(seconds - (this.latency ?? 0)) > 0.002) {
      this.latency = seconds;
      this.playback.port.postMessage({ type: "latency", seconds });
    }
  }

  /** Lets the microphone go at once, and the loudspeaker when the last words were heard (two seconds at most). */
  async finish() {
    this.closeMicrophone();
    const rest = Math.min(2_000, this.stats.waiting_ms);
    if (rest > 0) await new Promise((done) => setTimeout(done, rest + 150));
    await this.close();
  }

  /** Closes everything. */
  async close() {
    this.closeMicrophone();
    this.playback?.port.postMessage({ type: "stop" });
    const context = this.context;
    this.context = null;
    this.playback = null;
    this.opening = null;
    this.stats.heard = 0;
    if (context !== null) {
      context.onstatechange = null;
      await context.close().catch(() => {});
    }
  }
}

function insecure() {
  return window.isSecureContext
    ? undefined
    : "Calls need a secure page. Open this page with https:// (or on localhost) and try again.";
}

async function askForMicrophone(deviceId) {
  if (navigator.mediaDevices?.getUserMedia === undefined) {
    throw new MicrophoneError(insecure() ?? "This browser gives no access to a microphone.");
  }
  const audio = {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    channelCount: 1,
    ...(deviceId ? { deviceId: { ideal: deviceId } } : {}),
  };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new MicrophoneError(microphoneSentence(error), error);
  }
}

function microphoneSentence(error) {
  switch (error?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The browser may not use the microphone. Allow it in the address bar’s site settings, then try again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Connect one and try again.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone is in use by another program, or does not answer. Close that program and try again.";
    default:
      return "The microphone could not be opened. Try again, or restart the browser.";
  }
}

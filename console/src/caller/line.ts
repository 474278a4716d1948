// One call over `/media/browser`: the socket and its messages, without the page and without the sound.
// `docs/browser-protocol.md` describes them.

import type { BrowserCall, Speaker } from "../api/types";

/** Bytes of voice that may wait in the socket before frames are dropped: late voice is worthless. */
const MOST_WAITING = 0.5 * 32_000;
const START_WITHIN_MS = 10_000;

export interface Caption {
  who: Speaker;
  text: string;
  final: boolean;
}

/** `ended`: the server said so; `refused`: never started; `lost`: broke in the middle; `local`: hung up here. */
export interface Ending {
  kind: "ended" | "refused" | "lost" | "local";
  reason: string;
  code: number;
}

export interface LineHandlers {
  onStarted(): void;
  onAudio(pcm: ArrayBuffer): void;
  onMark(id: number): void;
  onClear(): void;
  onCaption(caption: Caption): void;
  /** Comes exactly once, and last. */
  onEnded(how: Ending): void;
}

type FromServer =
  | { type: "started" }
  | { type: "mark"; id: number }
  | { type: "clear" }
  | ({ type: "caption" } & Caption)
  | { type: "ended"; reason: string };

type ToServer =
  | { type: "start"; token: string; rate: number; version: number }
  | { type: "dtmf"; digit: string }
  | { type: "mark"; id: number }
  | { type: "stop" };

/** Opens a call and reports on it. */
export class Line {
  readonly frames = { sent: 0, received: 0, dropped: 0 };
  readonly #socket: WebSocket;
  readonly #patience: ReturnType<typeof setTimeout>;
  #started = false;
  #over = false;

  constructor(
    pass: BrowserCall,
    private readonly handlers: LineHandlers,
  ) {
    this.#socket = new WebSocket(sameOrigin(pass.url));
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.send({ type: "start", token: pass.token, rate: 16_000, version: 1 });
    this.#socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => this.#receive(data);
    this.#socket.onclose = ({ code }) => this.#closed(code);
    this.#patience = setTimeout(() => {
      if (!this.#started) this.#end({ kind: "refused", reason: "timeout", code: 0 });
    }, START_WITHIN_MS);
  }

  /** Sends a message if the socket is open. */
  send(message: ToServer): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Sends one frame of the microphone. */
  sendFrame(pcm: ArrayBuffer): void {
    if (!this.#started || this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > MOST_WAITING) {
      this.frames.dropped += 1;
      return;
    }
    this.frames.sent += 1;
    this.#socket.send(pcm);
  }

  /** The caller hangs up. */
  stop(): void {
    this.send({ type: "stop" });
    this.#end({ kind: "local", reason: "stop", code: 1000 });
  }

  #receive(data: ArrayBuffer | string): void {
    if (this.#over) return;
    if (data instanceof ArrayBuffer) {
      this.frames.received += 1;
      this.handlers.onAudio(data);
      return;
    }
    const message = parse(data);
    switch (message?.type) {
      case "started":
        this.#started = true;
        clearTimeout(this.#patience);
        this.handlers.onStarted();
        break;
      case "mark":
        this.handlers.onMark(message.id);
        break;
      case "clear":
        this.handlers.onClear();
        break;
      case "caption":
        this.handlers.onCaption(message);
        break;
      case "ended":
        this.#end({ kind: this.#started ? "ended" : "refused", reason: message.reason, code: 1000 });
        break;
    }
  }

  #closed(code: number): void {
    if (this.#started && code === 1000) this.#end({ kind: "ended", reason: "", code });
    else this.#end({ kind: this.#started ? "lost" : "refused", reason: "", code });
  }

  #end(how: Ending): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#patience);
    this.#socket.onclose = null;
    this.#socket.close(1000);
    this.handlers.onEnded(how);
  }
}

/** A message has a type; those we do not know are ignored. */
function parse(text: string): FromServer | null {
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === "object" && message !== null && "type" in message ? (message as FromServer) : null;
  } catch {
    return null;
  }
}

/** The page's own host, whatever public name the server gave: the page was reached by it. */
function sameOrigin(url: string): URL {
  const wanted = new URL(url, location.href);
  const here = new URL(wanted.pathname + wanted.search, location.href);
  here.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return here;
}

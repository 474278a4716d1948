// The connection to `/agent/ws`: keeps it alive, and comes back by itself when it breaks.

import type { FromAgent, ToAgent } from "../api/types";
import { onTick } from "../lib/ticker";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
const ANSWER_WITHIN_MS = 8_000;
/** Voice that may wait in the socket before frames are dropped, in bytes (half a second). */
const MOST_WAITING = 16_000;
/** Close code: this account's desk was opened somewhere else. */
const REPLACED = 4000;

export interface SocketHandlers {
  onMessage(message: ToAgent): void;
  onAudio(pcm: ArrayBuffer): void;
  /** The server said hello. */
  onUp(): void;
  /** The connection broke. `wasReady`: after hello; `replaced`: for good, another window has the desk. */
  onDown(how: { wasReady: boolean; replaced: boolean }): void;
}

export class DeskSocket {
  /** Tries since the last success. */
  tries = 0;
  /** How long the last ping took; null until one came back. */
  roundTripMs: number | null = null;
  readonly frames = { sent: 0, received: 0, dropped: 0 };

  #socket: WebSocket | null = null;
  #ready = false;
  #stopped = true;
  #pingMs = 10_000;
  #pings = 0;
  #retryAt: number | null = null;
  #openedAt = 0;
  #heardAt = 0;
  #pingedAt = 0;

  constructor(private readonly handlers: SocketHandlers) {
    onTick(() => this.#tick());
    window.addEventListener("online", () => {
      if (this.#retryAt !== null) this.#retryAt = Date.now();
    });
  }

  /** Connects, and stays connected until `stop`. */
  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#connect();
  }

  /** Closes for good. */
  stop(): void {
    this.#stopped = true;
    this.#retryAt = null;
    this.#drop();
  }

  /** Sends a message; false when there is no connection. */
  send(message: FromAgent): boolean {
    if (!this.#ready || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Sends one frame of voice, or drops it when the network can't keep up. */
  sendFrame(pcm: ArrayBuffer): void {
    if (!this.#ready || this.#socket?.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > MOST_WAITING) {
      this.frames.dropped += 1;
      return;
    }
    this.frames.sent += 1;
    this.#socket.send(pcm);
  }

  #connect(): void {
    this.#retryAt = null;
    this.tries += 1;
    const url = new URL("/agent/ws", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#openedAt = this.#heardAt = this.#pingedAt = Date.now();
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (this.#socket === socket) this.#receive(data);
    };
    socket.onclose = ({ code }) => {
      if (this.#socket === socket) this.#down(code);
    };
  }

  #receive(data: ArrayBuffer | string): void {
    this.#heardAt = Date.now();
    if (data instanceof ArrayBuffer) {
      this.frames.received += 1;
      this.handlers.onAudio(data);
      return;
    }
    const message = parse(data);
    if (message === null) return;
    if (message.type === "hello") {
      this.#ready = true;
      this.tries = 0;
      if (message.ping_ms > 0) this.#pingMs = message.ping_ms;
      this.handlers.onUp();
      this.#ping();
    } else if (message.type === "pong" && message.n === this.#pings) {
      this.roundTripMs = Date.now() - this.#pingedAt;
    }
    // Only for clients that are heard from is an offer answered by itself.
    if (message.type === "offer" && message.answers_in_ms != null) this.#ping();
    this.handlers.onMessage(message);
  }

  #ping(): void {
    this.#pingedAt = Date.now();
    this.#pings += 1;
    this.send({ type: "ping", n: this.#pings });
  }

  #tick(): void {
    const now = Date.now();
    if (this.#stopped) return;
    if (this.#retryAt !== null) {
      if (now >= this.#retryAt) this.#connect();
      return;
    }
    if (this.#socket === null) return;
    if (!this.#ready) {
      if (now - this.#openedAt > ANSWER_WITHIN_MS) this.#down(1006);
      return;
    }
    if (now - this.#pingedAt >= this.#pingMs) this.#ping();
    if (now - this.#heardAt > 3 * this.#pingMs) this.#down(1006);
  }

  #down(code: number): void {
    const wasReady = this.#ready;
    const replaced = code === REPLACED;
    this.#drop();
    if (this.#stopped) return;
    if (replaced) {
      this.#stopped = true;
    } else {
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.max(0, this.tries - 1));
      this.#retryAt = Date.now() + wait * (0.75 + Math.random() / 2);
    }
    this.handlers.onDown({ wasReady, replaced });
  }

  /** Forgets the socket at once: on a dead network its own closing would take minutes. */
  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#ready = false;
    this.roundTripMs = null;
    if (socket === null) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(1000);
  }
}

/** A message has a type; which ones we know is for the model to say. */
function parse(text: string): ToAgent | null {
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === "object" && message !== null && "type" in message ? (message as ToAgent) : null;
  } catch {
    return null;
  }
}

// The connection to `/agent/ws`: keeps it alive, and comes back by itself when it breaks.

import { onTick } from "../lib/ticker.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
const ANSWER_WITHIN_MS = 8_000;
/** Voice that may wait in the socket before frames are dropped, in bytes (half a second). */
const MOST_WAITING = 16_000;

/** Close code: this account's desk was opened somewhere else. */
export const REPLACED = 4000;

export class DeskSocket {
  /** @param {{onMessage: Function, onAudio: Function, onUp: Function, onDown: Function}} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.socket = null;
    this.ready = false; // true once `hello` came
    this.pingMs = 10_000;
    this.pings = 0;
    this.tries = 0;
    this.retryAt = null;
    this.stopped = true;
    this.frames = { sent: 0, received: 0, dropped: 0 };
    onTick(() => this.#tick());
    window.addEventListener("online", () => {
      if (this.retryAt !== null) this.retryAt = Date.now();
    });
  }

  /** Connects, and stays connected until `stop`. */
  start() {
    this.stopped = false;
    this.#connect();
  }

  /** Closes for good. */
  stop() {
    this.stopped = true;
    this.retryAt = null;
    this.#drop(1000);
  }

  /** Sends a message; false when there is no connection. */
  send(message) {
    if (!this.ready || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Sends one frame of voice, or drops it when the network can't keep up. */
  sendFrame(pcm) {
    if (!this.ready || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > MOST_WAITING) {
      this.frames.dropped += 1;
      return;
    }
    this.frames.sent += 1;
    this.socket.send(pcm);
  }

  #connect() {
    this.retryAt = null;
    this.tries += 1;
    const url = new URL("/agent/ws", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.openedAt = Date.now();
    this.heardAt = Date.now();
    this.pingedAt = Date.now();
    socket.onmessage = ({ data }) => {
      if (this.socket === socket) this.#receive(data);
    };
    socket.onclose = ({ code }) => {
      if (this.socket === socket) this.#down(code);
    };
  }

  #receive(data) {
    this.heardAt = Date.now();
    if (data instanceof ArrayBuffer) {
      this.frames.received += 1;
      this.handlers.onAudio(data);
      return;
    }
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.type === "hello") {
      this.ready = true;
      this.tries = 0;
      if (message.ping_ms > 0) this.pingMs = message.ping_ms;
      this.handlers.onUp(message);
    }
    this.handlers.onMessage(message);
  }

  #tick() {
    const now = Date.now();
    if (this.stopped) return;
    if (this.retryAt !== null) {
      if (now >= this.retryAt) this.#connect();
      return;
    }
    if (this.socket === null) return;
    if (!this.ready) {
      if (now - this.openedAt > ANSWER_WITHIN_MS) this.#down(1006);
      return;
    }
    if (now - this.pingedAt >= this.pingMs) {
      this.pingedAt = now;
      this.pings += 1;
      this.send({ type: "ping", n: this.pings });
    }
    if (now - this.heardAt > 3 * this.pingMs) this.#down(1006);
  }

  #down(code) {
    const wasReady = this.ready;
    this.#drop(1000);
    if (this.stopped) return;
    if (code === REPLACED) {
      this.stopped = true;
    } else {
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.max(0, this.tries - 1));
      this.retryAt = Date.now() + wait * (0.75 + Math.random() / 2);
    }
    this.handlers.onDown({ code, wasReady });
  }

  /** Forgets the socket at once: on a dead network its own closing would take minutes. */
  #drop(code) {
    const socket = this.socket;
    this.socket = null;
    this.ready = false;
    if (socket === null) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(code);
  }
}

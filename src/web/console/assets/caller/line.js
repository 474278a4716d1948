// One call over `/media/browser`: the socket and its messages, without the page and without the sound.

/** Seconds of voice that may wait in the socket before frames are dropped: late voice is worthless. */
const MOST_WAITING = 0.5 * 32_000;
const START_WITHIN_MS = 10_000;

/**
 * Opens a call and reports on it. Exactly one `onEnded({kind, reason, code})` comes, and it comes last;
 * `kind` is `ended` (the server said so), `refused` (never started), `lost` (broke in the middle) or `local`.
 */
export class Line {
  /**
   * @param {{url: string, token: string}} pass from `POST /api/v1/browser-call`
   * @param {object} handlers onStarted, onAudio(buffer), onMark(id), onClear, onCaption(caption), onEnded
   */
  constructor(pass, handlers) {
    this.handlers = handlers;
    this.started = false;
    this.over = false;
    this.frames = { sent: 0, received: 0, dropped: 0 };
    this.reason = null;
    this.socket = new WebSocket(sameOrigin(pass.url));
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send({ type: "start", token: pass.token, rate: 16_000, version: 1 });
    this.socket.onmessage = ({ data }) => this.#receive(data);
    this.socket.onclose = ({ code }) => this.#closed(code);
    this.patience = setTimeout(() => {
      if (!this.started) this.#end({ kind: "refused", reason: "timeout", code: 0 });
    }, START_WITHIN_MS);
  }

  /** Sends a message if the socket is open. */
  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Sends one frame of the microphone. */
  sendFrame(pcm) {
    if (!this.started || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > MOST_WAITING) {
      this.frames.dropped += 1;
      return;
    }
    this.frames.sent += 1;
    this.socket.send(pcm);
  }

  /** The caller hangs up. */
  stop() {
    this.send({ type: "stop" });
    this.#end({ kind: "local", reason: "stop", code: 1000 });
  }

  #receive(data) {
    if (this.over) return;
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
    switch (message.type) {
      case "started":
        this.started = true;
        clearTimeout(this.patience);
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
        this.reason = typeof message.reason === "string" ? message.reason : "";
        this.#end({ kind: this.started ? "ended" : "refused", reason: this.reason, code: 1000 });
        break;
    }
  }

  #closed(code) {
    if (this.started && code === 1000) this.#end({ kind: "ended", reason: "", code });
    else this.#end({ kind: this.started ? "lost" : "refused", reason: "", code });
  }

  #end(how) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.patience);
    this.socket.onclose = null;
    this.socket.close(1000);
    this.handlers.onEnded(how);
  }
}

/** The page's own host, whatever public name the server gave: the page was reached by it. */
function sameOrigin(url) {
  const wanted = new URL(url, location.href);
  const here = new URL(wanted.pathname + wanted.search, location.href);
  here.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return here;
}

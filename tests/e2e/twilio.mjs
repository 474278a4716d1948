// Twilio, played: an API that makes and moves every call it is asked for, signed webhooks, and media streams with a voice.

import { createHmac, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { WebSocket } from "ws";

import { becomes } from "./browser.mjs";
import { voice } from "./voice.mjs";

const RATE = 8_000;
const FRAME = 160;

export class Twilio {
  /** Forms the API was sent, with the paths they came to. */
  asked = [];
  secret = randomBytes(16).toString("hex");
  /** Calls we were asked to make, by number. */
  #server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    this.asked.push({ path: request.url, form: new URLSearchParams(Buffer.concat(parts).toString()) });
    response.writeHead(201, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ sid: sid("CA") }));
  });

  static async open() {
    const twilio = new Twilio();
    await new Promise((resolve) => twilio.#server.listen(0, "127.0.0.1", resolve));
    return twilio;
  }

  /** What stands in the configuration for it to be asked. */
  get section() {
    const base = `http://127.0.0.1:${this.#server.address().port}`;
    return `[twilio]\nauth_token = "${this.secret}"\naccount_sid = "AC1"\nnumber = "+15005550100"\napi_url = "${base}"\n`;
  }

  close() {
    this.#server.close();
  }

  /** The form of the `nth` request to a path that ends so. */
  async request(end, nth = 0) {
    const found = await becomes(() => this.asked.filter(({ path }) => path.endsWith(end))[nth], (one) => one !== undefined);
    if (found === undefined) throw new Error(`the API was not asked for ${end}`);
    return found.form;
  }

  /** Asks a webhook, signed; gives the document. */
  async tell(url, form) {
    const signed = Object.keys(form).sort().reduce((text, name) => text + name + form[name], url);
    const signature = createHmac("sha1", this.secret).update(signed).digest("base64");
    const headers = { "Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature };
    const answer = await fetch(url, { method: "POST", headers, body: new URLSearchParams(form) });
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  }

  /** The stream a document asks for. */
  connect(url, callSid, document, hz) {
    const token = /name="token" value="([^"]+)"/.exec(document)?.[1];
    if (token === undefined) throw new Error(`no stream in ${document}`);
    const address = `${url.replace("http", "ws")}/media/twilio`;
    const signature = createHmac("sha1", this.secret).update(address).digest("base64");
    return Line.open(new WebSocket(address, { headers: { "X-Twilio-Signature": signature } }), callSid, token, hz);
  }

  /** Somebody calls. */
  async call(url, hz) {
    const callSid = sid("CA");
    const form = { AccountSid: "AC1", CallSid: callSid, CallStatus: "ringing", Direction: "inbound", From: "+15005550123", To: "+15005550100" };
    return this.connect(url, callSid, await this.tell(`${url}/voice/twilio/incoming`, form), hz);
  }

  /** Whoever was called answers. */
  async answer(url, form, hz) {
    const callSid = sid("CA");
    const said = { CallSid: callSid, From: form.get("From"), To: form.get("To"), CallStatus: "in-progress", AnsweredBy: "human" };
    return this.connect(url, callSid, await this.tell(form.get("Url"), said), hz);
  }
}

/** One party's line: says a voice in a loop, and knows how loud it hears the other side. */
class Line {
  /** Root mean square of the last second. */
  #heard = [];
  #sequence = 0;

  constructor(socket, callSid) {
    this.socket = socket;
    this.callSid = callSid;
    this.streamSid = sid("MZ");
  }

  static async open(socket, callSid, token, hz) {
    const line = new Line(socket, callSid);
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    socket.on("message", (data) => line.#take(JSON.parse(String(data))));
    socket.on("error", () => {});
    socket.send(JSON.stringify({ event: "connected", protocol: "Call", version: "1.0.0" }));
    line.#send("start", {
      accountSid: "AC1",
      streamSid: line.streamSid,
      callSid,
      tracks: ["inbound"],
      mediaFormat: { encoding: "audio/x-mulaw", sampleRate: RATE, channels: 1 },
      customParameters: { token },
    });
    line.#speak(hz);
    return line;
  }

  press(digit) {
    this.#send("dtmf", { track: "inbound_track", digit });
  }

  /** Waits until the other side is heard. */
  hears(level) {
    return becomes(() => Math.max(0, ...this.#heard), (most) => most > level).then((most) => most > level);
  }

  /** What was heard until now no longer counts. */
  forget() {
    this.#heard = [];
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  hangUp() {
    if (this.isOpen) this.#send("stop", { accountSid: "AC1", callSid: this.callSid });
    this.socket.close();
  }

  #send(event, body) {
    this.#sequence += 1;
    this.socket.send(JSON.stringify({ event, sequenceNumber: String(this.#sequence), streamSid: this.streamSid, [event]: body }));
  }

  #speak(hz) {
    const samples = voice(8_000, hz, RATE);
    const coded = Buffer.from(samples.map(ulaw));
    let chunk = 0;
    const began = Date.now();
    const timer = setInterval(() => {
      if (!this.isOpen) return clearInterval(timer);
      // By the clock, so that a late timer catches up.
      for (; chunk * 20 < Date.now() - began; chunk += 1) {
        const at = (chunk * FRAME) % coded.length;
        this.#send("media", { track: "inbound", chunk: String(chunk + 1), timestamp: String(chunk * 20), payload: coded.subarray(at, at + FRAME).toString("base64") });
      }
    }, 20);
  }

  #take(message) {
    if (message.event === "mark") this.#send("mark", { name: message.mark.name });
    if (message.event !== "media") return;
    const samples = [...Buffer.from(message.media.payload, "base64")].map(linear);
    const rms = Math.sqrt(samples.reduce((sum, sample) => sum + (sample / 32_768) ** 2, 0) / Math.max(1, samples.length));
    this.#heard = [...this.#heard, rms].slice(-50);
  }
}

const sid = (head) => head + randomBytes(16).toString("hex");

/** G.711 µ-law. */
function ulaw(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const size = Math.min(32_635, Math.abs(sample)) + 0x84;
  const exponent = 31 - Math.clz32(size) - 7;
  return ~(sign | (exponent << 4) | ((size >> (exponent + 3)) & 0x0f)) & 0xff;
}

function linear(code) {
  const bits = ~code & 0xff;
  const size = ((((bits & 0x0f) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84;
  return (bits & 0x80) === 0 ? size : -size;
}

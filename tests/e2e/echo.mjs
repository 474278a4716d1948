// A room for the page: what its loudspeaker plays comes back through its microphone, later and quieter.

/** Runs in the page before its own scripts. */
function room({ delayS, gain }) {
  let ears = null;
  const connect = AudioNode.prototype.connect;
  const heard = new WeakMap();
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode && ears !== null && this.context !== ears.context) {
      const { context } = this;
      if (!heard.has(context)) {
        const out = context.createMediaStreamDestination();
        heard.set(context, out);
        connect.call(ears.context.createMediaStreamSource(out.stream), ears.delay);
      }
      connect.call(this, heard.get(context));
    }
    return connect.call(this, target, ...rest);
  };
  navigator.mediaDevices.getUserMedia = async () => {
    const context = new AudioContext();
    const delay = new DelayNode(context, { delayTime: delayS });
    const quieter = new GainNode(context, { gain });
    const microphone = context.createMediaStreamDestination();
    connect.call(connect.call(delay, quieter), microphone);
    ears = { context, delay };
    await context.resume();
    return microphone.stream;
  };
}

/** The desk's test finds the echo of a room, and none where there is none. */
export async function echoJourney({ context, url, check }) {
  for (const [gain, wanted] of [[0.5, "loud"], [0.000_1, "none"]]) {
    const page = await context.newPage();
    await page.addInitScript(room, { delayS: 0.1, gain });
    await page.goto(`${url}/agent`);
    await page.getByText("Sound and keys").click();
    await page.getByRole("button", { name: "Test the echo" }).click();
    const found = page.locator('#echo:not([data-verdict=""])');
    await found.waitFor();
    check(gain > 0.01 ? "an echo of half the loudness is found" : "in a quiet room there is none", (await found.getAttribute("data-verdict")) === wanted, await found.innerText());
    await page.close();
  }
}

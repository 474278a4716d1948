// Two small web sites with the call button's script tag, on origins of their own.

import { createServer } from "node:http";

/** Starts a site on a free port of this machine; `host` makes it another site than one at 127.0.0.1. */
export async function openSite(host = "localhost") {
  let page = "";
  const server = createServer((_, response) => {
    // A strict policy, as careful sites have one: the script must get along with it.
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": site.policy });
    response.end(page);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const site = {
    origin: `http://${host}:${server.address().port}`,
    policy: "",
    /** What the site shows from now on. */
    serve(url, body) {
      site.policy = `default-src 'none'; script-src ${url}; connect-src ${url}; frame-src ${url}; style-src 'self'`;
      page = `<!doctype html><html lang="en"><title>A shop</title><h1>A shop</h1>${body}</html>`;
    },
    close: () => server.close(),
  };
  return site;
}

/** The button on a named site works; another site gets neither button nor frame. `check(name, condition, detail)`. */
export async function widgetJourney({ url, named, other, context, check, shot, untilCall }) {
  // A tab of its own: in one that showed our pages before, the browser asks for their icon under the site's policy.
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  const tag = `<script src="${url}/widget.js" async></script>`;
  named.serve(url, tag);
  await page.goto(named.origin);
  const button = page.getByRole("button", { name: "Call Larkfield" });
  await button.click();
  const frame = page.frameLocator("#warmline-widget iframe");
  await frame.getByRole("button", { name: "Call", exact: true }).click();
  await untilCall(frame);
  check("on a named site the button calls", (await frame.locator("#main").getAttribute("data-phase")) === "live");
  const phase = page.locator("#warmline-widget button.open");
  await page.waitForFunction(() => document.querySelector("#warmline-widget").shadowRoot.querySelector(".open").dataset.phase === "live");
  await page.waitForTimeout(1_200);
  await shot(page, "40-widget");
  await phase.click();
  await page.waitForTimeout(300);
  check("the panel can be put away while the call goes on", (await frame.locator("#main").getAttribute("data-phase")) === "live");
  await phase.click();
  await frame.getByRole("button", { name: "Hang up" }).click();
  await page.waitForFunction(() => document.querySelector("#warmline-widget").shadowRoot.querySelector(".open").dataset.phase === "ended");
  check("a site with a strict policy of its own has no complaints", problems.length === 0, problems.join(" | "));

  other.serve(url, tag);
  const warned = page.waitForEvent("console", (message) => message.text().includes("browser.widget_origins"));
  await page.goto(other.origin);
  await warned;
  check("a site that is not named shows no button, and its console says why", (await page.locator("#warmline-widget").count()) === 0);
  other.serve(url, `<iframe src="${url}/widget" title="call" width="400" height="600"></iframe>`);
  const refused = page.waitForEvent("console", (message) => /frame-ancestors/.test(message.text()));
  await page.goto(other.origin);
  const { length } = (await refused).text();
  await page.waitForTimeout(500);
  const framed = page.frames().filter((each) => each !== page.mainFrame());
  const shown = await Promise.all(framed.map((each) => each.locator("#main").count()));
  check("nor can it frame the page by itself: the browser refuses", length > 0 && shown.every((count) => count === 0), `${framed.length} empty frame`);
  await page.close();
}

// What a page has that keeps somebody out: found by axe, and by looking whether it is wider than the screen.

import { AxeBuilder } from "@axe-core/playwright";

/** Widths of a small phone, a tablet, a small laptop and a desk. */
const WIDTHS = [360, 768, 1024, 1440];
const HEIGHT = 800;

/** Nothing fades any more but what does so for ever: a colour on the way to another one is judged as it is then. */
export async function still(page) {
  const faded = () =>
    document.getAnimations().every(({ playState, effect }) => {
      const fades = effect?.getKeyframes().some((frame) => Object.keys(frame).some((name) => name === "opacity" || /color|fill|stroke/i.test(name)));
      return playState !== "running" || !fades || effect.getComputedTiming().endTime === Infinity;
    });
  // What begins anew all the time, such as a meter, is looked at as it is.
  await page.waitForFunction(faded, undefined, { timeout: 5_000 }).catch(() => undefined);
}

/** What axe finds serious or critical on a page. */
export async function barriers(page) {
  const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]).analyze();
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).slice(0, 3).join(", ")}`);
}

/** By how much the page is wider than the screen, and what sticks out. */
export function overflow(page) {
  return page.evaluate(() => {
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    if (wide <= 0) return "";
    // What sticks out of something that scrolls or cuts by itself does not make the page wider.
    const isHeld = (each) => {
      for (let box = each.parentElement; box !== null && box !== document.documentElement; box = box.parentElement) {
        if (box !== document.body && getComputedStyle(box).overflowX !== "visible") return true;
      }
      return false;
    };
    const out = [...document.querySelectorAll("body *")].filter((each) => each.getBoundingClientRect().right > window.innerWidth && !isHeld(each));
    const name = ({ tagName, id, className }) => `${tagName.toLowerCase()}${id === "" ? "" : `#${id}`}${typeof className === "string" && className !== "" ? `.${className.split(" ")[0]}` : ""}`;
    return `${wide} px: ${out.slice(0, 3).map(name).join(", ")}`;
  });
}

/** The same once the page had time to follow a change of its width. */
async function settled(page) {
  for (let look = 0; ; look += 1) {
    const out = await overflow(page);
    if (out === "" || look === 20) return out;
    await page.waitForTimeout(100);
  }
}

/** Waits until a page shows what it asked the server for. */
async function loaded(page, url) {
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("main") !== null && document.querySelector(".loading") === null);
  await page.waitForTimeout(250);
}

/**
 * Every page at every width and in every language, then axe in the combinations of theme and width that differ most.
 * `check(name, condition, detail)`.
 */
export async function everyPage({ url, page, paths, check }) {
  const before = page.viewportSize();
  const wide = [];
  const found = [];
  for (const locale of ["de", "en"]) {
    await page.evaluate((chosen) => localStorage.setItem("warmline-language", JSON.stringify(chosen)), locale);
    for (const path of paths) {
      await loaded(page, url + path);
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: HEIGHT });
        // What is drawn follows a moment later.
        const out = await settled(page);
        if (out !== "") wide.push(`${path} at ${width} in ${locale}: ${out}`);
      }
      if (locale !== "en") continue;
      for (const [width, colorScheme] of [[1440, "light"], [360, "dark"]]) {
        await page.setViewportSize({ width, height: HEIGHT });
        await page.emulateMedia({ colorScheme });
        await still(page);
        found.push(...(await barriers(page)).map((finding) => `${path} at ${width}, ${colorScheme}: ${finding}`));
      }
      await page.emulateMedia({ colorScheme: null });
    }
  }
  await page.setViewportSize(before);
  check(`no page scrolls sideways at ${WIDTHS.join(", ")} px, in two languages`, wide.length === 0, wide.length === 0 ? `${paths.length} pages` : wide.join(" | "));
  check("axe finds nothing serious on any page, light and wide, dark and narrow", found.length === 0, found.length === 0 ? `${paths.length} pages` : found.join(" | "));
}

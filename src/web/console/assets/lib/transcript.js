// A growing conversation: lines that may still change, kept in view unless the reader scrolled away.

import { h, icon, setText } from "./dom.js";
import { clock } from "./format.js";
import { speaker } from "./words.js";

/** Below this, recognition was shaky; the text is marked. */
const FAIR = 0.75;
const POOR = 0.5;

export class Transcript {
  /**
   * @param {{label: string, self: string, empty?: string, names?: object, announce?: boolean}} options
   *   self: who is reading (`caller` or `agent`), shown on the right; names: other names for speakers;
   *   announce: whether a screen reader hears what the others say
   */
  constructor({ label, self, empty = "", names = {}, announce = true }) {
    this.self = self;
    this.names = names;
    this.announce = announce;
    this.byKey = new Map();
    this.lines = h("ol", { class: "lines" });
    this.scroll = h("div", { class: "transcript-scroll", tabindex: 0, role: "region", "aria-label": label }, this.lines);
    this.empty = h("p", { class: "transcript-empty" }, empty);
    this.jump = h("button", { class: "button jump", type: "button", hidden: true }, icon("down"), "Latest");
    this.live = h("p", { class: "out-of-sight", "aria-live": "polite" });
    this.root = h("div", { class: "transcript" }, this.scroll, this.empty, this.jump, this.live);
    this.follow = true;
    this.scroll.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.scroll;
      this.follow = scrollHeight - scrollTop - clientHeight < 40;
      this.jump.hidden = this.follow;
    });
    this.jump.addEventListener("click", () => {
      this.follow = true;
      this.#keepUp();
      this.scroll.focus({ preventScroll: true });
    });
    new ResizeObserver(() => this.#keepUp()).observe(this.scroll);
  }

  /** Adds a line, or changes the one with the same key. `confidence` 0 to 1, `at_ms` into the call. */
  put({ key, who, text, final, confidence = 1, at_ms }) {
    let line = this.byKey.get(key);
    const wasFinal = line?.root.dataset.final === "true";
    if (line === undefined) {
      const said = h("p", { class: "said" });
      const name = this.names[who] ?? speaker(who);
      const time = at_ms === undefined ? null : h("span", { class: "figures" }, ` · ${clock(at_ms)}`);
      const root = h("li", { class: "line", dataset: { who } }, h("p", { class: "who" }, name, time), said);
      if (who === this.self) root.dataset.side = "right";
      line = { root, said };
      this.byKey.set(key, line);
      this.lines.append(root);
      this.empty.hidden = true;
    }
    setText(line.said, text);
    line.root.dataset.final = String(final);
    const sure = who === "assistant" || confidence >= FAIR ? "" : confidence >= POOR ? "fair" : "poor";
    if (sure === "") delete line.root.dataset.sure;
    else line.root.dataset.sure = sure;
    line.said.title = sure === "" ? "" : `Recognition was ${Math.round(confidence * 100)} % sure`;
    if (final && !wasFinal && this.announce && who !== this.self) {
      setText(this.live, `${this.names[who] ?? speaker(who)}: ${text}`);
    }
    this.#keepUp();
  }

  /** Adds a line that nobody said: a key was pressed, hold began. */
  note(text) {
    this.empty.hidden = true;
    this.lines.append(h("li", { class: "event" }, text));
    this.#keepUp();
  }

  /** Whether nothing was added since the beginning or the last clear. */
  get isEmpty() {
    return this.lines.childElementCount === 0;
  }

  /** Forgets everything. */
  clear() {
    this.byKey.clear();
    this.lines.replaceChildren();
    this.empty.hidden = false;
    this.follow = true;
    this.jump.hidden = true;
    setText(this.live, "");
  }

  #keepUp() {
    if (this.follow) this.scroll.scrollTop = this.scroll.scrollHeight;
  }
}

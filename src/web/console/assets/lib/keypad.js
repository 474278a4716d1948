// A telephone keypad: twelve buttons, and the same keys on the keyboard.

import { h, isTyping } from "./dom.js";

const KEYS = [
  ["1", ""],
  ["2", "ABC"],
  ["3", "DEF"],
  ["4", "GHI"],
  ["5", "JKL"],
  ["6", "MNO"],
  ["7", "PQRS"],
  ["8", "TUV"],
  ["9", "WXYZ"],
  ["*", ""],
  ["0", "Person"],
  ["#", ""],
];
const NAMES = { "*": "Star", "#": "Hash" };

/**
 * @param {(digit: string) => void} onDigit
 * @param {{zero?: string}} options what stands under the 0
 * @returns {{root: HTMLElement, press: Function, enable: Function, onKey: Function}}
 */
export function keypad(onDigit, { zero = "" } = {}) {
  const buttons = new Map();
  let enabled = false;
  const press = (digit) => {
    if (!enabled) return;
    const button = buttons.get(digit);
    button.classList.add("pressed");
    setTimeout(() => button.classList.remove("pressed"), 150);
    onDigit(digit);
  };
  for (const [digit, letters] of KEYS) {
    const below = digit === "0" ? zero : letters;
    const label = [NAMES[digit] ?? digit, digit === "0" && zero !== "" ? `, ${zero}` : ""].join("");
    const button = h(
      "button",
      { class: "key", type: "button", disabled: true, "aria-label": label, onclick: () => press(digit) },
      digit,
      h("small", { "aria-hidden": "true" }, below),
    );
    buttons.set(digit, button);
  }
  return {
    root: h("div", { class: "keypad", role: "group", "aria-label": "Keypad" }, [...buttons.values()]),
    press,
    enable(on) {
      enabled = on;
      for (const button of buttons.values()) button.disabled = !on;
    },
    /** For a `keydown` listener on the page; true when the key was used. */
    onKey(event) {
      if (!enabled || event.repeat || isTyping(event) || !buttons.has(event.key)) return false;
      press(event.key);
      return true;
    },
  };
}

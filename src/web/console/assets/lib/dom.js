// Building elements without a framework. Text is always set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `h("button", { class: "primary", onclick: call }, "Call")`.
 * `on…` are listeners, `dataset` and booleans do what they say, everything else is an attribute.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, String(value));
  }
  append(element, children);
  return element;
}

/** Replaces what `element` holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** A picture from `icons.svg`; decoration only, so name the thing beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("viewBox", "0 0 24 24");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/assets/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Changes the picture of an element made by [`icon`]. */
export function setIcon(svg, name) {
  const target = `/assets/icons.svg#${name}`;
  const use = svg.firstElementChild;
  if (use.getAttribute("href") !== target) use.setAttribute("href", target);
}

/** Sets text only when it changes, so that a screen reader is not told the same thing again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A level from 0 to 1 as the custom property a meter's style uses. */
export function setLevel(element, level) {
  element.style.setProperty("--level", Math.max(0, Math.min(1, level)).toFixed(3));
}

/** RMS (0 to 1) to the length of a meter (0 to 1): −54 dBFS is nothing, −9 dBFS is full. */
export function meterLength(rms) {
  if (rms <= 0) return 0;
  return (20 * Math.log10(rms) + 54) / 45;
}

/** Whether a key press belongs to a text field, a choice or a control that uses it itself. */
export function isTyping(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  return event.target.closest?.("input, textarea, select, audio, [contenteditable]") != null;
}

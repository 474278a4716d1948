// The colours of the style sheets, for what is drawn on a canvas.

const NAMES = ["text", "soft", "line", "line-strong", "sunken", "accent", "warm", "danger", "focus"] as const;

export type Colours = Record<(typeof NAMES)[number], string>;

/** As they are now: they change with the theme. */
export function colours(inside: HTMLElement): Colours {
  const probe = document.createElement("span");
  inside.append(probe);
  const read = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = Object.fromEntries(NAMES.map((name) => [name, read(name)])) as Colours;
  probe.remove();
  return found;
}

/** With so much of it left, 0 to 1. */
export function faint(colour: string, alpha: number): string {
  return `color-mix(in srgb, ${colour} ${Math.round(alpha * 100)}%, transparent)`;
}

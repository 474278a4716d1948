// The call button on somebody else's web site: `<script src="https://voice.example.com/widget.js" async></script>`.
//
// It asks the server whether this site is named in its configuration, and only then shows a button; the button opens the
// caller's page in a frame. The frame is the server's own page, so microphone and call are between it and the server.
// Everything lives in a shadow root: neither style sheet nor script of the site reaches in, nor ours out.

import STYLE from "./widget.css?inline";

interface Said {
  type: "warmline";
  phase: string;
}

const script = document.currentScript;
if (script instanceof HTMLScriptElement) void start(new URL(script.src).origin, script.dataset["label"]);

async function start(server: string, label: string | undefined): Promise<void> {
  const answer = await fetch(`${server}/api/v1/widget`, { credentials: "omit" }).catch(() => null);
  if (answer === null || !answer.ok) {
    console.warn(`Warmline: ${server} does not show its call button on ${location.origin} (browser.widget_origins).`);
    return;
  }
  const { name } = (await answer.json()) as { name: string };
  const german = document.documentElement.lang.startsWith("de");
  show(server, label ?? (german ? `${name} anrufen` : `Call ${name}`), german ? "Schließen" : "Close");
}

function show(server: string, label: string, close: string): void {
  const host = document.createElement("div");
  host.id = "warmline-widget";
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];

  const button = document.createElement("button");
  button.type = "button";
  button.className = "open";
  button.textContent = label;
  button.setAttribute("aria-expanded", "false");

  const panel = document.createElement("div");
  panel.className = "panel";
  panel.hidden = true;
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-label", label);

  let frame: HTMLIFrameElement | null = null;
  let phase = "idle";

  function toggle(open: boolean): void {
    if (open && frame === null) {
      frame = document.createElement("iframe");
      frame.src = `${server}/widget`;
      frame.title = label;
      frame.allow = `microphone ${server}; autoplay ${server}; screen-wake-lock ${server}`;
      panel.append(frame);
    }
    panel.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? close : label;
    // A call goes on while the panel is away; a page that rests is not kept.
    if (!open && (phase === "idle" || phase === "ended")) {
      frame?.remove();
      frame = null;
    }
    if (open) frame?.focus();
    else button.focus();
  }

  button.addEventListener("click", () => toggle(panel.hidden));
  root.addEventListener("keydown", (event) => {
    if (event instanceof KeyboardEvent && event.key === "Escape" && !panel.hidden) toggle(false);
  });
  window.addEventListener("message", ({ source, origin, data }: MessageEvent<unknown>) => {
    if (origin !== server || source !== frame?.contentWindow || !isSaid(data)) return;
    phase = data.phase;
    button.dataset["phase"] = phase;
  });
  root.append(panel, button);
  document.body.append(host);
}

function isSaid(data: unknown): data is Said {
  return typeof data === "object" && data !== null && "type" in data && data.type === "warmline" && "phase" in data;
}

// The plots of the timeline: one above the other, the same seconds below each other, zoomed together.

import type uPlot from "uplot";

import type { Speaker } from "../api/types";
import { clock } from "../lib/format";
import { sureness } from "../lib/conversation";
import { type Colours, faint } from "../lib/colours";
import type { Timeline } from "./timeline";
import type { Outline } from "./wav";

export interface Plot {
  options: Omit<uPlot.Options, "width">;
  data: uPlot.AlignedData;
}

const SYNC = "call-timeline";
/** Room for the names of the lanes and the numbers. */
const LEFT = 58;

/** The colours of the stages, as in the style sheet: waiting, recognition, answer, voice. */
export const STAGE_COLOURS = ["line-strong", "focus", "accent", "warm"] as const;

const colourOf: Record<Speaker, keyof Colours> = { caller: "line-strong", assistant: "accent", agent: "warm" };

function base(height: number, length: number, c: Colours, isLast: boolean): Omit<uPlot.Options, "width" | "series"> {
  const axis = { stroke: c.soft, font: "12px system-ui", grid: { stroke: c.line, width: 1 }, ticks: { show: false } };
  return {
    height,
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false }, sync: { key: SYNC, scales: ["x", null] } },
    padding: [6, 8, isLast ? 0 : 8, 0],
    scales: { x: { time: false, range: (_, from, to) => (from === to ? [0, length] : [from, to]) } },
    axes: [
      { ...axis, show: isLast, size: 26, values: (_, ticks) => ticks.map((second) => clock(second * 1_000)) },
      { ...axis, size: LEFT },
    ],
  };
}

/** Both voices: what was recorded as a waveform, who spoke as blocks behind it. */
export function voices(timeline: Timeline, outline: Outline | null, begins: number, c: Colours, names: [string, string]): Plot {
  const options = base(140, timeline.length, c, false);
  const lane = (who: Speaker): number => (who === "caller" ? 1 : -1);
  const wave = (colour: string): uPlot.Series => ({ stroke: colour, width: 0.5, points: { show: false }, scale: "y" });
  return {
    options: {
      ...options,
      scales: { ...options.scales, y: { range: [-2, 2] } },
      axes: [options.axes?.[0] ?? {}, { ...options.axes?.[1], splits: [-1, 1], values: () => [names[1], names[0]], grid: { show: false } }],
      series: [{}, wave(c.text), wave(c.text), wave(c.accent), wave(c.accent)],
      bands: [
        { series: [1, 2], fill: c.text },
        { series: [3, 4], fill: c.accent },
      ],
      hooks: {
        drawClear: [
          (u) => {
            for (const { who, from, to, confidence } of timeline.spans) {
              block(u, from, to, lane(who) + 0.9, lane(who) - 0.9, faint(c[colourOf[who]], 0.1 + 0.22 * confidence));
            }
          },
        ],
        draw: [
          (u) => {
            for (const { at, what } of timeline.turnings) flag(u, at, what === "barge_in" ? c.danger : c.focus);
          },
        ],
      },
    },
    data: waves(timeline, outline, begins),
  };
}

function waves(timeline: Timeline, outline: Outline | null, begins: number): uPlot.AlignedData {
  const [left, right] = outline?.channels ?? [];
  if (outline === null || left === undefined || right === undefined) {
    const none = [null, null];
    return [[0, timeline.length], none, none, none, none];
  }
  const loudest = Math.max(0.05, ...[left, right].map(({ high, low }) => greatest(high, low)));
  // From the call's beginning to its end, like the plots below, whatever part of it was recorded.
  const at = (values: number[], middle: number): (number | null)[] => [
    null,
    ...values.map((value) => middle + (0.9 * value) / loudest),
    null,
  ];
  const recorded = left.high.map((_, i) => begins + i * outline.step);
  const seconds = [Math.min(0, begins), ...recorded, Math.max(timeline.length, recorded.at(-1) ?? 0)];
  return [seconds, at(left.high, 1), at(left.low, 1), at(right.high, -1), at(right.low, -1)];
}

function greatest(high: readonly number[], low: readonly number[]): number {
  return high.reduce((most, value, i) => Math.max(most, value, -(low[i] ?? 0)), 0);
}

/** Where the time to the first word of each answer went: a column of stages where the answer began. */
export function answers(timeline: Timeline, c: Colours): Plot {
  const options = base(104, timeline.length, c, false);
  const most = Math.max(1_000, ...timeline.replies.map(({ totalMs }) => totalMs));
  return {
    options: {
      ...options,
      scales: { ...options.scales, y: { range: [0, most * 1.08] } },
      axes: [
        options.axes?.[0] ?? {},
        { ...options.axes?.[1], space: 28, values: (_, ticks) => ticks.map((ms) => `${(ms / 1_000).toFixed(1)} s`) },
      ],
      series: [{}, { points: { show: false }, paths: () => null, scale: "y" }],
      hooks: {
        draw: [
          (u) => {
            for (const { at, stages } of timeline.replies) column(u, at, stages, c);
          },
        ],
      },
    },
    data: framed(timeline, timeline.replies.map(({ at, totalMs }) => [at, totalMs])),
  };
}

/** How sure recognition was of what the caller and the agent said. */
export function certainty(timeline: Timeline, c: Colours): Plot {
  const options = base(98, timeline.length, c, true);
  const heard = timeline.spans.filter(({ who }) => who !== "assistant");
  const tone = { sure: c.accent, fair: c.warm, poor: c.danger };
  return {
    options: {
      ...options,
      scales: { ...options.scales, y: { range: [0, 104] } },
      axes: [options.axes?.[0] ?? {}, { ...options.axes?.[1], splits: [0, 50, 100], values: (_, ticks) => ticks.map((n) => `${n} %`) }],
      series: [{}, { points: { show: false }, paths: () => null, scale: "y" }],
      hooks: {
        draw: [
          (u) => {
            for (const span of heard) {
              const percent = span.confidence * 100;
              block(u, span.from, span.to, percent, 0, faint(tone[sureness(span)], 0.25));
              block(u, span.from, span.to, percent, percent - 4, tone[sureness(span)]);
            }
          },
        ],
      },
    },
    data: framed(timeline, heard.map(({ from, confidence }) => [from, confidence * 100])),
  };
}

/** Points with the call's beginning and end around them, so that every plot covers the same seconds. */
function framed(timeline: Timeline, points: [x: number, y: number][]): uPlot.AlignedData {
  const inside = points.filter(([x]) => x > 0 && x < timeline.length).sort(([a], [b]) => a - b);
  return [
    [0, ...inside.map(([x]) => x), timeline.length],
    [null, ...inside.map(([, y]) => y), null],
  ];
}

function block(u: uPlot, from: number, to: number, high: number, low: number, fill: string): void {
  const [left, right] = [u.valToPos(from, "x", true), u.valToPos(to, "x", true)];
  const [top, bottom] = [u.valToPos(high, "y", true), u.valToPos(low, "y", true)];
  within(u, () => {
    u.ctx.fillStyle = fill;
    u.ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
  });
}

function flag(u: uPlot, at: number, colour: string): void {
  const x = u.valToPos(at, "x", true);
  within(u, () => {
    u.ctx.strokeStyle = colour;
    u.ctx.lineWidth = 2 * devicePixelRatio;
    u.ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    u.ctx.beginPath();
    u.ctx.moveTo(x, u.bbox.top);
    u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
    u.ctx.stroke();
  });
}

function column(u: uPlot, at: number, stages: readonly number[], c: Colours): void {
  const width = 10 * devicePixelRatio;
  const x = u.valToPos(at, "x", true) - width / 2;
  within(u, () => {
    let low = 0;
    for (const [i, ms] of stages.entries()) {
      const [top, bottom] = [u.valToPos(low + ms, "y", true), u.valToPos(low, "y", true)];
      u.ctx.fillStyle = c[STAGE_COLOURS[i] ?? "soft"];
      u.ctx.fillRect(x, top, width, bottom - top);
      low += ms;
    }
  });
}

/** Draws inside the plot's frame only. */
function within(u: uPlot, draw: () => void): void {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height);
  u.ctx.clip();
  draw();
  u.ctx.restore();
}

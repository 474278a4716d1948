"""Draws measurements; called by scripts/plot, which says how."""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "warmline", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
import matplotlib.pyplot as plt  # noqa: E402

STAGES = [
    ("endpointing_ms", "waiting for the end of the turn", "#8da0cb"),
    ("stt_ms", "transcript not ready yet", "#e78ac3"),
    ("llm_ms", "finding or generating the first clause", "#fc8d62"),
    ("tts_ms", "voice", "#66c2a5"),
]


def latency(source, target):
    with open(source, encoding="utf-8") as lines:
        turns = [json.loads(line) for line in lines if line.strip()]
    if not turns:
        sys.exit(f"error: no turns in {source}")
    turns.sort(key=lambda turn: turn["response_ms"])
    median = turns[len(turns) // 2]
    figure, (one, all_turns) = plt.subplots(2, 1, figsize=(8, 6.4), height_ratios=[1, 1.6], layout="constrained")

    at = 0
    rows = []
    for key, label, colour in STAGES:
        rows.append((label, at, median[key], colour))
        at += median[key]
    # The decode runs on speculation while the end of the turn is still awaited.
    end = rows[1][1] + median["stt_ms"]
    rows.insert(1, ("recognition, begun on speculation", max(0, end - median["decode_ms"]) if median["stt_ms"] else None, median["decode_ms"], "#b3b3b3"))
    for row, (label, start, span, colour) in enumerate(rows):
        # When the transcript was ready before the turn ended, when it began is not recorded: it is drawn at the speculation's delay.
        start = 180 if start is None else start
        one.barh(row, max(span, 4), left=start, color=colour)
        one.text(start + span + 8, row, f"{span} ms", va="center")
    one.set_yticks(range(len(rows)), [row[0] for row in rows])
    one.invert_yaxis()
    one.set_xlim(0, max(median["response_ms"], end) * 1.15)
    one.set_xlabel("ms after the caller's last voiced sample")
    one.set_title(f"The turn at the median: {median['response_ms']} ms ({median['kind']})", loc="left")

    left = [0] * len(turns)
    for key, label, colour in STAGES:
        spans = [turn[key] for turn in turns]
        all_turns.barh(range(len(turns)), spans, left=left, color=colour, label=label, height=0.8)
        left = [a + b for a, b in zip(left, spans)]
    all_turns.set_yticks(range(len(turns)), [turn["kind"] for turn in turns], fontsize=6)
    all_turns.set_xlabel("response_ms")
    all_turns.set_title(f"All {len(turns)} answered turns, by stage", loc="left")
    all_turns.legend(frameon=False, loc="lower right")
    figure.savefig(target, metadata={"Date": None})


SHARES = [
    ("wrong", "answers that were wrong", "#d62728", "-"),
    ("late", "calls that need a person, who came late or never", "#9467bd", "-"),
    ("withheld", "right answers at hand, not given", "#1f77b4", "--"),
    ("needless", "calls that need none, and one came", "#ff7f0e", "--"),
    ("regret", "calls with any of these: regret", "#222222", "-"),
]


def curve(source, target):
    with open(source, encoding="utf-8") as file:
        data = json.load(file)
    points = data["points"]
    figure, axes = plt.subplots(figsize=(8, 4.4), layout="constrained")
    for key, label, colour, style in SHARES:
        values = [point[key]["value"] * 100 for point in points]
        n = max(point[key]["n"] for point in points)
        axes.plot([point["threshold"] for point in points], values, style, color=colour, label=f"{label} (n ≤ {n})", linewidth=2.2 if key == "regret" else 1.3)
    axes.axvline(data["configured"], color="#888888", linewidth=0.8, linestyle=":")
    axes.text(data["configured"], axes.get_ylim()[1], f" {data['configured']:.2f} in force", va="top", fontsize=8, color="#666666")
    axes.set_xlabel("probability of being right from which an approved sentence is spoken")
    axes.set_ylabel("%")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_title(f"Regret over the threshold, {data['cases']} scripted calls", loc="left")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    {"latency": latency, "curve": curve}[sys.argv[1]](sys.argv[2], sys.argv[3])

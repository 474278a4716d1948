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


if __name__ == "__main__":
    latency(sys.argv[2], sys.argv[3])

"""Usage: smart_turn_peer.py [--rate 16000|8000] [--vad-stop SECONDS] [--stop SECONDS]

A peer of `warmline bench turn`: Pipecat's voice detector (Silero) and its Smart Turn model, driven frame by frame as its
user aggregator drives them. Without options all parameters are Pipecat's defaults, which its documentation recommends.
First a line that says who it is; then a WAV file's path a line in, and when turns ended a line out, in the file's time.

The clock is the file's: a decision that took 60 ms is there 60 ms later. That a transcript is awaited before anything is
answered is left out. After the file comes silence, until the last turn has ended.
"""

import argparse
import asyncio
import importlib.metadata
import json
import sys
import time
import types
import wave

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=int, default=16_000, choices=[8_000, 16_000])
parser.add_argument("--vad-stop", type=float)
parser.add_argument("--stop", type=float)
args = parser.parse_args()

import numpy as np  # noqa: E402  after the arguments: these take a second to load
import soxr  # noqa: E402
from loguru import logger  # noqa: E402

logger.remove()
from pipecat.audio.turn.smart_turn import base_smart_turn  # noqa: E402
from pipecat.audio.turn.base_turn_analyzer import EndOfTurnState  # noqa: E402
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams  # noqa: E402
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3  # noqa: E402
from pipecat.audio.vad.silero import SileroVADAnalyzer  # noqa: E402
from pipecat.audio.vad.vad_analyzer import VADParams, VADState  # noqa: E402

FRAME_MS = 20
LONGEST_SILENCE_MS = 6_000

# The model's buffer is cut by this clock, which must not be the wall's: files go through faster than they last.
clock = types.SimpleNamespace(now=0.0, monotonic=lambda: clock.now, perf_counter=time.perf_counter)
base_smart_turn.time = clock

vad_params = VADParams() if args.vad_stop is None else VADParams(stop_secs=args.vad_stop)
turn_params = SmartTurnParams() if args.stop is None else SmartTurnParams(stop_secs=args.stop)
model = LocalSmartTurnAnalyzerV3(params=turn_params)
model.set_sample_rate(args.rate)


def read(path):
    with wave.open(path) as file:
        assert file.getsampwidth() == 2 and file.getnchannels() == 1
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
        if file.getframerate() == args.rate:
            return pcm
        return soxr.resample(pcm, file.getframerate(), args.rate)


class Caller:
    """One call: what `TurnAnalyzerUserTurnStopStrategy` does with what the voice detector says."""

    def __init__(self):
        self.vad = SileroVADAnalyzer(params=vad_params)
        self.vad.set_sample_rate(args.rate)
        self.speaking = False
        self.open = False
        self.ends_ms = []
        self.model_ms = []
        model.clear()
        model.update_vad_start_secs(0.0)

    async def hear(self, frame, now_ms):
        """Hears the 20 ms that end at `now_ms`."""
        clock.now = now_ms / 1e3
        state = await self.vad.analyze_audio(frame)
        if state == VADState.SPEAKING and not self.speaking:
            self.speaking = self.open = True
            model.update_vad_start_secs(vad_params.start_secs)
        elif state == VADState.QUIET and self.speaking:
            self.speaking = False
            await self.decide(now_ms)
        if model.append_audio(frame, self.speaking) == EndOfTurnState.COMPLETE:
            self.end(now_ms)

    async def decide(self, now_ms):
        begun = time.perf_counter()
        state, _ = await model.analyze_end_of_turn()
        took = (time.perf_counter() - begun) * 1e3
        self.model_ms.append(round(took, 2))
        if state == EndOfTurnState.COMPLETE:
            self.end(now_ms + took)

    def end(self, at_ms):
        if self.open:
            self.open = False
            self.ends_ms.append(round(at_ms))


async def turns(path):
    pcm, size = read(path), args.rate * FRAME_MS // 1_000
    pcm = np.pad(pcm, (0, -len(pcm) % size))
    caller, at = Caller(), 0
    for begin in range(0, len(pcm), size):
        at += FRAME_MS
        await caller.hear(pcm[begin : begin + size].tobytes(), at)
    last = at + LONGEST_SILENCE_MS
    while caller.open and at < last:
        at += FRAME_MS
        await caller.hear(bytes(2 * size), at)
    await caller.vad.cleanup()
    return {"ends_ms": caller.ends_ms, "model_ms": caller.model_ms}


def say(answer):
    print(json.dumps(answer), flush=True)


async def main():
    # The first decision pays for what is not loaded yet.
    await asyncio.to_thread(model._predict_endpoint, np.zeros(8 * args.rate, dtype=np.float32))
    version = importlib.metadata.version("pipecat-ai")
    name = f"Pipecat {version}: Silero, stop {vad_params.stop_secs} s, and Smart Turn v3.2, stop {turn_params.stop_secs} s"
    say({"name": f"{name}, {args.rate} Hz"})
    for line in sys.stdin:
        say(await turns(line.strip()))


asyncio.run(main())

"""Usage: faster_whisper_peer.py MODEL_FOLDER [--beam N] [--vad] [--threads N]

A peer of `warmline bench stt`: faster-whisper as its documentation recommends for a CPU (int8, beam 5), or with less.
First a line that says who it is; then a WAV file's path a line in, its text and times a line out.
"""

import argparse
import json
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--beam", type=int, default=5)
parser.add_argument("--vad", action="store_true")
parser.add_argument("--threads", type=int, default=os.cpu_count())
args = parser.parse_args()

import faster_whisper  # noqa: E402  after the arguments: it takes a second to load
from faster_whisper import WhisperModel, decode_audio  # noqa: E402

model = WhisperModel(args.model, device="cpu", compute_type="int8", cpu_threads=args.threads)


def transcribe(path):
    audio = decode_audio(path)
    wall, cpu = time.perf_counter(), time.process_time()
    segments, _ = model.transcribe(audio, language="en", beam_size=args.beam, vad_filter=args.vad)
    text = " ".join(segment.text.strip() for segment in segments)
    return text, (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def say(answer):
    print(json.dumps(answer), flush=True)


vad = ", its VAD" if args.vad else ""
name = f"faster-whisper {faster_whisper.__version__}, int8, beam {args.beam}{vad}, {args.threads} threads"
say({"name": name})
for line in sys.stdin:
    text, decode_ms, cpu_ms = transcribe(line.strip())
    say({"text": text, "decode_ms": round(decode_ms, 2), "cpu_ms": round(cpu_ms, 2)})

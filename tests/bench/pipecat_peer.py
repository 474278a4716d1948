"""Usage: pipecat_peer.py WHISPER_FOLDER [--compute int8] [--log LEVEL]

A peer of `warmline bench latency`: a voice bot as Pipecat's Twilio example builds it, all local. FastAPI socket with the
Twilio serializer, Silero, Smart Turn (both with Pipecat's defaults), its Whisper service with the CTranslate2 model in
WHISPER_FOLDER, and two stand-ins: a language model with 150 ms to the first token and 40 tokens a second, which says what
Warmline's stand-in says, and a voice that is there at once, as Warmline's cached phrases are.

The first line says who it is and where its socket is. It ends when its input does.
"""

import argparse
import asyncio
import importlib.metadata
import json
import math
import os
import re
import socket
import sys

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--compute", default="int8")
parser.add_argument("--log", default="ERROR")
args = parser.parse_args()
# It looks for nothing on the net.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import uvicorn  # noqa: E402  after the arguments: these take seconds to load
from fastapi import FastAPI, WebSocket  # noqa: E402
from loguru import logger  # noqa: E402

logger.remove()
logger.add(sys.stderr, level=args.log)
from pipecat.audio.vad.silero import SileroVADAnalyzer  # noqa: E402
from pipecat.frames.frames import (  # noqa: E402
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.worker import PipelineParams, PipelineWorker  # noqa: E402
from pipecat.processors.aggregators.llm_context import LLMContext  # noqa: E402
from pipecat.processors.aggregators.llm_response_universal import (  # noqa: E402
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.utils import parse_telephony_websocket  # noqa: E402
from pipecat.serializers.twilio import TwilioFrameSerializer  # noqa: E402
from pipecat.services.llm_service import LLMService  # noqa: E402
from pipecat.services.settings import LLMSettings, TTSSettings  # noqa: E402
from pipecat.services.tts_service import TTSService  # noqa: E402
from pipecat.services.whisper.stt import WhisperSTTService  # noqa: E402
from pipecat.transports.websocket.fastapi import (  # noqa: E402
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.workers.runner import WorkerRunner  # noqa: E402

GREETING = "Hello, this is the assistant. How can I help you?"
REPLY = (
    "Thank you for asking. I have looked that up in our notes for you, and I can confirm it. "
    "Is there anything else?"
)
FIRST_TOKEN_S, TOKEN_S = 0.150, 0.025
# A slow speaker: as long as the sentences are in Warmline's voice.
LETTER_S = 0.06
# Whisper wants 16 kHz, Pipecat's default, and the service does not resample; Twilio's example asks for 8 kHz out.
IN_RATE, OUT_RATE = 16_000, 8_000


class StandInLlm(LLMService):
    """Says the same, at a fixed pace."""

    def __init__(self):
        unset = dict.fromkeys(
            ("temperature", "max_tokens", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")
        )
        super().__init__(
            settings=LLMSettings(
                model="stand-in",
                system_instruction=None,
                filter_incomplete_user_turns=False,
                user_turn_completion_config=None,
                **unset,
            )
        )

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        for n, token in enumerate(re.findall(r"\S+\s*", REPLY)):
            await asyncio.sleep(TOKEN_S if n else FIRST_TOKEN_S)
            await self.push_frame(LLMTextFrame(token))
        await self.push_frame(LLMFullResponseEndFrame())


class StandInVoice(TTSService):
    """A hum as long as the sentence, all of it there at once."""

    def __init__(self):
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=OUT_RATE,
            settings=TTSSettings(model="stand-in", voice="hum", language=None),
        )

    async def run_tts(self, text, context_id):
        yield TTSAudioRawFrame(hum(len(text) * LETTER_S), OUT_RATE, 1, context_id=context_id)


def hum(seconds):
    samples = (int(4_000 * math.sin(math.tau * 180 * n / OUT_RATE)) for n in range(int(seconds * OUT_RATE)))
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


async def answer(websocket):
    """One call."""
    _, call = await parse_telephony_websocket(websocket)
    serializer = TwilioFrameSerializer(
        stream_sid=call["stream_id"],
        call_sid=call["call_id"],
        # There is no account to hang up with.
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, add_wav_header=False, serializer=serializer
        ),
    )
    stt = WhisperSTTService(
        device="cpu", compute_type=args.compute, settings=WhisperSTTService.Settings(model=args.model)
    )
    user, assistant = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    stages = [transport.input(), stt, user, StandInLlm(), StandInVoice(), transport.output(), assistant]
    worker = PipelineWorker(
        Pipeline(stages),
        params=PipelineParams(audio_in_sample_rate=IN_RATE, audio_out_sample_rate=OUT_RATE),
    )

    @transport.event_handler("on_client_connected")
    async def on_client_connected(_transport, _client):
        await worker.queue_frames([TTSSpeakFrame(GREETING)])

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(_transport, _client):
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False, force_gc=True)
    await runner.add_workers(worker)
    await runner.run()


app = FastAPI()


@app.websocket("/ws")
async def media(websocket: WebSocket):
    await websocket.accept()
    await answer(websocket)


async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    version = importlib.metadata.version("pipecat-ai")
    whisper = importlib.metadata.version("faster-whisper")
    name = f"Pipecat {version}: Twilio, Silero, Smart Turn v3.2, faster-whisper {whisper} {args.compute}, stand-ins"
    port = listener.getsockname()[1]
    print(json.dumps({"name": name, "url": f"ws://127.0.0.1:{port}/ws"}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


asyncio.run(main())

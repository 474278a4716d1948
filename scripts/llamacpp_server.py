"""Starts llama.cpp's OpenAI-compatible server on a free port of this machine; called by scripts/eval-openai.

Usage: llamacpp_server.py MODEL.gguf NAME. Prints its address once it listens; ends with the signal.
"""

import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {sys.argv[2]}
params.n_ctx = 4096
params.n_parallel = 1
params.cpuparams.n_threads = 2
params.use_jinja = True
params.port = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.pause()

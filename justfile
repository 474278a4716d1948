# The menu: `just` lists it. CI runs `just test`.

cache := env("WARMLINE_CACHE", env("XDG_CACHE_HOME", home_directory() / ".cache") / "warmline")
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "target")

_menu:
    @just --list --unsorted

# Install, build, fetch the models and start the server; OPTIONS go to `warmline serve`
run *OPTIONS:
    scripts/run {{ OPTIONS }}

# Formatting, lints and the tests that need no models
check:
    scripts/test --fast

# Everything CI checks
test:
    scripts/test

# The property tests with CASES new cases each; what they find is written below proptest-regressions/
explore CASES="4000" FILTER="":
    PROPTEST_CASES={{ CASES }} cargo test --release --locked {{ FILTER }}

# Build the console's pages; the next cargo build embeds them
console:
    npm ci --prefix console --no-audit --no-fund
    npm run build --prefix console

# Work on the console: pages from disk with live reload, everything else from the server at URL
console-dev URL="http://127.0.0.1:8080":
    WARMLINE_URL={{ URL }} npm run dev --prefix console

# A server without a single model: keypad, hold, agents and records work, every caller goes to a person
demo *OPTIONS: console
    WARMLINE_STT__ENGINE=off WARMLINE_LLM__ENGINE=off WARMLINE_VAD__ENGINE=energy WARMLINE_TTS__ENGINE=program \
        cargo run --locked --no-default-features -- serve {{ OPTIONS }}

# Measure, for example `latency` or `stt`
bench NAME *OPTIONS:
    cargo run --release --locked --features whisper -- bench {{ NAME }} {{ OPTIONS }}

# Us and others side by side, others from PyPI: speech to text, end of turn, a whole bot; JSON lines and a table
compare:
    scripts/compare all

# Speech to text beside faster-whisper with the same model; OPTIONS go to `bench stt`, such as `--prompts 60`
compare-stt *OPTIONS:
    scripts/compare stt {{ OPTIONS }}

# The end of turns beside Silero and Smart Turn as Pipecat ships them; OPTIONS go to `bench turn`, such as `--prompts 60`
compare-turn *OPTIONS:
    scripts/compare turn {{ OPTIONS }}

# The time to the first audible reply beside a Pipecat bot; OPTIONS go to `bench latency`, such as `--turns 10`
compare-pipecat *OPTIONS:
    scripts/compare pipecat {{ OPTIONS }}

# Screenshots of every page, light and dark, for docs/images; and every state at five sizes in tests/e2e/shots
screenshots: console
    npm ci --prefix tests/e2e --no-audit --no-fund
    node tests/e2e/gallery.mjs

# Fuzz TARGET (`media`: what providers send; `handshake`: how they ask; `ct2`: model files) for SECONDS, `media` with one
# PROVIDER only or with all. Needs cargo-fuzz; the first build takes a quarter of an hour. Our code is safe Rust, so that
# panics, endless talk and memory are looked for without a sanitizer, which the stable compiler does not have
fuzz TARGET="media" SECONDS="60" PROVIDER="":
    tests/fuzz/seed
    WARMLINE_FUZZ_PROVIDER="{{ PROVIDER }}" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="{{ cache }}/target-fuzz" \
        cargo fuzz run --sanitizer none --fuzz-dir tests/fuzz {{ TARGET }} -- \
        -max_total_time={{ SECONDS }} -timeout=10 -max_len=32768

# Ten minutes of fuzzing for each provider's dialect, one after another
fuzz-all SECONDS="600":
    for provider in tests/fixtures/*/connect.jsonl; do \
        just fuzz media {{ SECONDS }} "$(basename "$(dirname "$provider")")" || exit 1; \
    done

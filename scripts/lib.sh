# Usage: sourced by scripts/run and scripts/test. Sets $root, $cache and $worker, moves to the repository, and gives the
# functions both need. WARMLINE_CACHE moves the build folder; models stay where `warmline models` keeps them.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${WARMLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/warmline}
# llama.cpp and whisper.cpp may not meet in one build, so the worker has a build folder of its own.
worker_target=${CARGO_TARGET_DIR:-$cache/target}-llm
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
worker=$worker_target/release/warmline-llm-worker
# Node trusts its own list of authorities only. A network with an authority of its own has it where all else looks.
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
fi
cd "$root" || exit
# Cargo tells sources by their time and their place within a clone. After a build from another clone, all of ours are new.
mkdir -p "$CARGO_TARGET_DIR"
if [ "$(cat "$CARGO_TARGET_DIR/.clone" 2>/dev/null)" != "$root" ]; then
    touch build.rs src/*.rs tests/*/main.rs llm-worker/src/*.rs llm-worker/tests/*/main.rs
    printf '%s\n' "$root" >"$CARGO_TARGET_DIR/.clone"
fi

say() { printf '\n== %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

need_rust() {
    command -v cargo >/dev/null || fail "Rust is missing: install it from https://rustup.rs"
}

# Package and the command or file that shows it is there; on other systems the command or file is what counts.
build_packages='build-essential:c++ make:make cmake:cmake clang:clang libclang-dev:/usr/lib/llvm-*/lib/libclang.so
    pkg-config:pkg-config python3-pip:/usr/lib/python3/dist-packages/pip curl:curl ca-certificates:/etc/ssl/certs'
console_packages='nodejs:node npm:npm'
test_packages='sox:sox espeak-ng:espeak-ng chromium:chromium
    asterisk-core-sounds-en-wav:/usr/share/asterisk/sounds/en_US_f_Allison/digits/1.wav
    pocketsphinx-testdata:/usr/share/pocketsphinx/test/data/librivox'

is_there() {
    case $1 in
    python3-pip) python3 -m pip --version >/dev/null 2>&1 ;;
    libclang-dev) [ -n "${LIBCLANG_PATH:-}" ] || compgen -G "$2" >/dev/null ;;
    *) case $2 in /*) [ -e "$2" ] ;; *) command -v "$2" >/dev/null ;; esac ;;
    esac
}

# need_packages LIST: installs what is missing of it with apt, as root or through sudo, else says what to install.
need_packages() {
    local missing=() entry apt=(apt-get)
    for entry in $1; do
        is_there "${entry%%:*}" "${entry#*:}" || missing+=("${entry%%:*}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "these are missing, by their Debian names: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        # Somebody may type a password only if somebody is there.
        if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            apt=(sudo DEBIAN_FRONTEND=noninteractive apt-get)
        else
            fail "packages are missing; as root: apt-get install ${missing[*]}"
        fi
    fi
    say "Installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" update -qq >&2
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# Builds the console's pages, which the next cargo build embeds. Does nothing when they are newer than what they come from.
build_console() {
    local site=console/dist/site/index.html
    if [ -e "$site" ] && [ -z "$(find console -mindepth 1 \( -name node_modules -o -name dist \) -prune \
        -o -newer "$site" -print -quit)" ]; then
        return
    fi
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || fail "node $(node --version) is too old: 18 or newer is needed"
    say "Building the console"
    npm ci --prefix console --no-audit --no-fund >&2 && npm run build --prefix console >&2
}

# In its own folder: llm-worker/.cargo/config.toml asks for this machine's vector instructions.
worker_cargo() {
    (cd llm-worker && CARGO_TARGET_DIR=$worker_target cargo "$@")
}

# with_server PROGRAM [OPTION…]: starts a server on a free port with a folder of its own and waits until it is ready. Sets
# $url and $log; stop_server ends it, and fails if it does not end in order.
with_server() {
    local port program=$1
    shift
    scratch=$(mktemp -d)
    log=$scratch/log
    trap 'kill_server' EXIT
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    url=http://127.0.0.1:$port
    WARMLINE_SERVER__LISTEN=127.0.0.1:$port WARMLINE_SERVER__DATA_DIR=$scratch/data "$program" serve "$@" >"$log" 2>&1 &
    server=$!
    for _ in $(seq 300); do
        kill -0 "$server" 2>/dev/null || { cat "$log" >&2; fail "the server ended before it was ready"; }
        ! curl -fs "$url/readyz" >/dev/null || return 0
        sleep 1
    done
    cat "$log" >&2
    fail "the server was not ready within 5 minutes"
}

stop_server() {
    kill "$server"
    wait "$server" || { cat "$log" >&2; fail "the server did not end in order"; }
    server=
}

kill_server() {
    [ -z "${server:-}" ] || { kill "$server" 2>/dev/null && wait "$server"; } || true
    rm -rf "${scratch:?}"
}

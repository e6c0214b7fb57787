#!/usr/bin/env bash
# Installs what the tests need (Debian packages, one npm package for the browser, pyarrow in an environment of its own)
# and runs every test:
# unit, property, crash, black box, browser. Needs a Rust tool chain and Debian; asks for nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v cc >/dev/null || missing+=(build-essential)
command -v chromium >/dev/null || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ "${#missing[@]}" -gt 0 ]; then
  echo "== installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Another program than ours has to read the archive's files.
python="${CARGO_TARGET_DIR:-$PWD/target}/pyarrow/bin/python"
if ! "$python" -c 'import pyarrow' 2>/dev/null; then
  echo "== installing pyarrow"
  python3 -m venv "${python%/bin/python}"
  "$python" -m pip install --quiet --disable-pip-version-check pyarrow
fi
export SWIPELINE_TEST_PYTHON="$python"

echo "== unit, property, crash and black-box tests"
cargo test --workspace --locked

echo "== browser tests"
target="${CARGO_TARGET_DIR:-$PWD/target}"
(cd tests/browser && npm ci --silent --no-audit --no-fund)
data="$(mktemp -d)"
log="$data/demo.log"
"$target/debug/swipeline" demo --items 2000 --viewers 10 --seed 7 --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 >"$log" 2>&1 &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; rm -rf "$data"' EXIT
url=""
for _ in $(seq 1 600); do
  url="$(sed -nE 's#^listening on (http://[^ ]+).*#\1#p' "$log" | head -n 1)"
  [ -n "$url" ] && break
  kill -0 "$demo" 2>/dev/null || { cat "$log"; echo "the demo ended early"; exit 1; }
  read -rt 0.1 <> <(:) || true
done
[ -n "$url" ] || { cat "$log"; echo "the demo did not say where it listens"; exit 1; }
SWIPELINE_URL="$url" npm --prefix tests/browser test --silent

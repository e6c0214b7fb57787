#!/usr/bin/env bash
# Sends generated calls, good and bad, to every operation of /openapi.json (both listeners) of a server of its own: no
# answer may be a 5xx (but a 503 that says why), and every answer must be one that the document knows. Takes under two minutes.
# Needs `schemathesis` (PyPI) in $SCHEMATHESIS or on the path, and the binary in $1.
set -euo pipefail
binary="$1"
schemathesis="${SCHEMATHESIS:-schemathesis}"
data="$(mktemp -d)"
log="$data/server.log"
"$binary" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --data-dir "$data/data" >"$log" 2>"$data/errors.log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$data"' EXIT
for _ in $(seq 1 600); do
  addresses="$(sed -nE 's#^listening on http://([^ ]+) \(admin http://([^)]+)\).*#\1 \2#p' "$log")"
  [ -n "$addresses" ] && break
  kill -0 "$server" 2>/dev/null || { cat "$data/errors.log"; echo "the server ended early"; exit 1; }
  read -rt 0.1 <> <(:) || true
done
read -r public admin <<<"$addresses"
"$binary" health --url "http://$public" --wait 30s >/dev/null
for address in "$public" "$admin"; do
  # The stream is a WebSocket.
  (cd "$data" && "$schemathesis" run "http://$address/openapi.json" --no-color --generation-deterministic \
    --phases examples,coverage,fuzzing --max-examples 15 --max-time 45 --workers 1 --request-timeout 20 \
    --exclude-path /v1/stream \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance)
done
kill -0 "$server"

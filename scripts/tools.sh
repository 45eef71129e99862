#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. Safe to run again: it does nothing when all is there.
set -euo pipefail

# Pinned: the last public commit of MinIO, built as a separate program that the tests start.
MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
# A second reading of S3, for the same tests and for the store's self-test.
VERSITYGW_VERSION=v1.8.0

# Pinned: Debian's age does not know hybrid recipients yet.
AGE_VERSION=v1.3.2

# Debian packages, by the program that shows they are there.
declare -A PACKAGE=([sipp]=sip-tester [sox]=sox [ffmpeg]=ffmpeg [ffprobe]=ffmpeg [tshark]=tshark [openssl]=openssl
  [radosgw]=radosgw [ceph-mon]=ceph-mon [ceph-osd]=ceph-osd [ceph]=ceph-common)

# Debian packages of C libraries, by the header that shows they are there: the tests of the build tag amr decode with opencore
# what vo-amrwbenc encodes; contrib/g729 is built on bcg729.
declare -A LIBRARY=(
  [opencore-amrnb/interf_dec.h]=libopencore-amrnb-dev
  [opencore-amrwb/dec_if.h]=libopencore-amrwb-dev
  [vo-amrwbenc/enc_if.h]=libvo-amrwbenc-dev
  [bcg729/decoder.h]=libbcg729-dev
)

missing=()
for header in "${!LIBRARY[@]}"; do
  [ -e "/usr/include/$header" ] || missing+=("${LIBRARY[$header]}")
done
command -v gcc >/dev/null 2>&1 || missing+=(gcc libc6-dev)
for program in "${!PACKAGE[@]}"; do
  command -v "$program" >/dev/null 2>&1 || missing+=("${PACKAGE[$program]}")
done
# The tests start servers of their own; the one that Debian starts with the package they leave alone.
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null 2>&1 || missing+=(postgresql)
if ((${#missing[@]})); then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  echo "tools: installing Debian packages: ${missing[*]}"
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "tools: run as root, or install by hand: ${missing[*]}" >&2; exit 1; }
    sudo=(sudo)
  fi
  "${sudo[@]}" apt-get update -q
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/greffier

# build NAME PATH PACKAGE@VERSION: from source, as a program of its own.
build() {
  local name=$1 path=$2 package=$3 start=$SECONDS job
  [ ! -x "$path" ] || return 0
  mkdir -p "$(dirname "$path")"
  echo "tools: building $name, ${package##*@}, into $path (once; it takes several minutes)"
  GOBIN=$(dirname "$path") GOFLAGS=-buildvcs=false go install "$package" &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 5
    ((((SECONDS - start) % 30) < 5)) && echo "tools: $name, $((SECONDS - start)) s so far"
  done
  wait "$job"
  echo "tools: $name built in $((SECONDS - start)) s"
}

build MinIO "${GREFFIER_MINIO:-$cache/bin/minio}" "github.com/minio/minio@$MINIO_VERSION"
build versitygw "${GREFFIER_VERSITYGW:-$cache/bin/versitygw}" "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW_VERSION"
build age "$cache/bin/age" "filippo.io/age/cmd/age@$AGE_VERSION"

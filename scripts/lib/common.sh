# Sourced by every script: where the tree is, how a script fails, how many jobs the machine bears.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C.UTF-8

TERRACED_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "$*"; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# The lesser of MemAvailable and what the cgroup still allows, in MB.
available_memory_mb() {
  local available limit used
  available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
  if [ -r /sys/fs/cgroup/memory.max ] && [ -r /sys/fs/cgroup/memory.current ]; then
    limit=$(cat /sys/fs/cgroup/memory.max)
    used=$(cat /sys/fs/cgroup/memory.current)
    if [ "$limit" != max ] && [ $(((limit - used) / 1048576)) -lt "$available" ]; then
      available=$(((limit - used) / 1048576))
    fi
  fi
  printf '%s\n' "$available"
}

# One compiler a processor, but no more than fit in memory: a file that includes gmock or RocksDB takes
# about 1 GB in a sanitizer build, and a machine that swaps is slower than one with a single job.
job_count() {
  local processors by_memory
  processors=$(nproc)
  by_memory=$(($(available_memory_mb) / 1200))
  [ "$by_memory" -ge 1 ] || by_memory=1
  [ "$by_memory" -le "$processors" ] || by_memory=$processors
  printf '%s\n' "$by_memory"
}

# configure_build DIR [CMAKE_ARG...]: cheap when nothing changed, so callers need not remember.
configure_build() {
  local build_dir=$1 log launcher=()
  shift
  mkdir -p "$build_dir"
  if command -v ccache >/dev/null; then
    launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros}  # else no test is found again
  fi
  log=$build_dir/configure.log
  if ! cmake -G Ninja -S "$TERRACED_ROOT" -B "$build_dir" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_COMPILER="${CXX:-g++}" "${launcher[@]}" "$@" >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
}

# build_targets DIR TARGET...
build_targets() {
  local build_dir=$1
  shift
  ninja -C "$build_dir" -j "$(job_count)" "$@"
}

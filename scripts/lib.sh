# Sourced by the scripts: how they speak, and where things are.
# shellcheck shell=bash

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

# die MESSAGE [FIX]: one line that names what is wrong, one that names what to do.
die() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  fix: %s\n' "$2" >&2
  exit 1
}

# quiet NAME COMMAND..: runs the command with its output in a log; prints a dot every 5 s, and the log's end on failure.
quiet() {
  local name=$1 log status=0 ticker
  shift
  mkdir -p target/setup-log 2>/dev/null || mkdir -p ../target/setup-log
  log=$(cd "$(git rev-parse --show-toplevel)" && pwd)/target/setup-log/$name.log
  (while sleep 5; do printf . >&2; done) &
  ticker=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$ticker" 2>/dev/null
  wait "$ticker" 2>/dev/null || true
  printf '\n' >&2
  if [ $status != 0 ]; then
    tail -n 40 "$log" >&2
    printf 'error: %s failed (exit %s); the whole output is in %s\n' "$*" "$status" "$log" >&2
  fi
  return $status
}

# Sourced by the scripts: how they speak, and how they own processes.
# shellcheck shell=bash

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' plain=$'\033[0m'; else bold='' plain=''; fi

say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }

# die MESSAGE [FIX]: one line that names what is wrong, one that names what to do.
die() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  fix: %s\n' "$2" >&2
  exit 1
}

# Found while this file is read: later the caller may stand in another directory.
LIB_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# quiet NAME COMMAND..: runs the command with its output in target/setup-log/NAME.log; prints a dot every 5 s, and the
# log's end on failure.
quiet() {
  local name=$1 log status=0 ticker
  shift
  log=$LIB_ROOT/target/setup-log/$name.log
  mkdir -p "${log%/*}"
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

# Processes we start are recorded as `PID START_TIME` in $RUN_DIR/NAME.pid: a pid alone may be somebody else's by now.

# start_time PID: clock ticks since boot at which it started; fails for a process that is gone or a zombie.
start_time() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" != Z ] || return 1
  echo "${fields[19]}"
}

# record_pid NAME PID
record_pid() {
  mkdir -p "$RUN_DIR"
  printf '%s %s\n' "$2" "$(start_time "$2")" >"$RUN_DIR/$1.pid"
}

# live_pid NAME: its pid when the recorded process still runs.
live_pid() {
  local pid started
  read -r pid started 2>/dev/null <"$RUN_DIR/$1.pid" || return 1
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] || return 1
  echo "$pid"
}

# spawn NAME COMMAND..: starts it in a session of its own (a Ctrl-C at the terminal reaches only us), output appended to
# $LOG_DIR/NAME.log.
spawn() {
  local name=$1
  shift
  mkdir -p "$LOG_DIR"
  setsid "$@" >>"$LOG_DIR/$name.log" 2>&1 </dev/null &
  record_pid "$name" $! || die "$name did not start" "look into $LOG_DIR/$name.log"
}

# stop NAME [SIGNAL [SECONDS]]: ends the recorded process, with KILL when it outlasts SECONDS. No error if it is gone.
stop() {
  local pid started
  if pid=$(live_pid "$1"); then
    started=$(start_time "$pid") || true
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    if ! until_true "${3:-10}" gone "$pid" "$started"; then
      say "$1 (pid $pid) did not end within ${3:-10} s; killing it"
      kill -KILL "$pid" 2>/dev/null || true
      until_true 5 gone "$pid" "$started" || die "$1 (pid $pid) cannot be ended"
    fi
  fi
  rm -f "$RUN_DIR/$1.pid"
}

# gone PID START_TIME
gone() { [ "$(start_time "$1")" != "$2" ]; }

# until_true SECONDS COMMAND..: asks every 50 ms until it holds; fails when the time is over.
until_true() {
  local deadline=$((SECONDS + $1 + 1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

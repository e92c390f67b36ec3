#!/usr/bin/env bash
# What the agent costs a host where nothing happens: memory and processor time of its two processes, beside those of `sleep`,
# and the size of the static binary. The agent is enrolled, connected and sends telemetry, as on any host. Needs root.
# usage: scripts/footprint.sh [SECONDS]     60 by default; ends with 1 when a limit is exceeded
# environment: FOOTPRINT_AGENT (the static build for this machine), FOOTPRINT_SERVER (target/release/voltaxe-server)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

seconds=${1:-60}
agent=${FOOTPRINT_AGENT:-target/$(uname -m)-unknown-linux-musl/agent-release/voltaxe-sentinel}
server=${FOOTPRINT_SERVER:-target/release/voltaxe-server}
# kB, percent of one processor, bytes.
most_memory=12000 most_cpu=0.1 most_bytes=10000000

# Somebody without a name, so that this machine needs no user for it.
user=64077
LAB_STATE=$(mktemp -d /tmp/voltaxe-footprint.XXXXXX)
RUN_DIR=$LAB_STATE/run LOG_DIR=$LAB_STATE/log
export LAB_STATE LAB_PREFIX=vxf LAB_NET=79 LAB_HOSTS=web-01:11 VOLTAXE_PORT=${VOLTAXE_PORT:-8079} LAB_BIN=$LAB_STATE/bin

main() {
  [ -x "$agent" ] || die "there is no static agent at $agent" "build it with make package, or name one with FOOTPRINT_AGENT"
  [ -x "$server" ] || die "there is no server at $server" "build it with make build, or name one with FOOTPRINT_SERVER"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mkdir "$LAB_BIN"
  cp "$agent" "$LAB_BIN/voltaxe-sentinel"
  ln -s "$(readlink -f "$server")" "$LAB_BIN/voltaxe-server"
  LAB_OWNER=$$ scripts/lab.sh up
  scripts/lab.sh server-start
  enrol
  start
  measure
}

clean_up() {
  local status=$?
  trap - EXIT
  for name in run executor sleep; do stop $name; done
  scripts/lab.sh down >/dev/null 2>&1 || true
  if [ $status = 0 ]; then rm -rf "$LAB_STATE"; else say "logs are in $LOG_DIR"; fi
  exit $status
}

enrol() {
  conf=$LAB_STATE/agent/agent.conf
  mkdir -p "$LAB_STATE/agent/run"
  tr -d - </proc/sys/kernel/random/uuid >"$LAB_STATE/agent/machine-id"
  cat >"$conf" <<END
[server]
api_url = http://10.$LAB_NET.0.1:$VOLTAXE_PORT

[agent]
state_dir = $LAB_STATE/agent/state
executor_state_dir = $LAB_STATE/agent/executor
executor_socket = $LAB_STATE/agent/run/executor.sock
machine_id_file = $LAB_STATE/agent/machine-id
user = $user
END
  scripts/lab.sh admin enrolment-token |
    scripts/lab.sh exec web-01 "$LAB_BIN/voltaxe-sentinel" enroll --config "$conf" --token-file - >&2
}

start() {
  local inside=(ip netns exec "$LAB_PREFIX-web-01")
  spawn executor "${inside[@]}" setpriv --regid=$user --clear-groups --bounding-set=-all,+net_admin,+kill,+dac_read_search,+sys_ptrace \
    "$LAB_BIN/voltaxe-sentinel" executor --config "$conf"
  until_true 10 test -S "$LAB_STATE/agent/run/executor.sock" || die "the executor does not listen"
  chmod 0711 "$LAB_STATE/agent" "$LAB_STATE/agent/run"
  spawn run "${inside[@]}" setpriv --reuid=$user --regid=$user --clear-groups --bounding-set=-all --inh-caps=-all \
    "$LAB_BIN/voltaxe-sentinel" run --config "$conf"
  until_true 20 grep -q 'COMMAND STREAM\] Connected' "$LOG_DIR/run.log" || die "the agent does not connect"
  spawn sleep sleep 1000000
}

measure() {
  local name rss pss cpu total_rss=0 total_pss=0 total_cpu=0 bytes ok=0
  local -A before
  say "measuring for $seconds s"
  sleep 5
  for name in sleep executor run; do before[$name]=$(spent "$(live_pid $name)"); done
  sleep "$seconds"
  printf '%-22s %10s %10s %12s\n' '' 'RSS kB' 'PSS kB' 'CPU %'
  for name in sleep executor run; do
    local pid
    pid=$(live_pid $name) || die "$name ended"
    rss=$(field "$pid" Rss) pss=$(field "$pid" Pss)
    cpu=$(awk "BEGIN { printf \"%.4f\", ($(spent "$pid") - ${before[$name]}) / ($seconds * 1e7) }")
    printf '%-22s %10d %10d %12s\n' "$name" "$rss" "$pss" "$cpu"
    [ $name = sleep ] && continue
    total_rss=$((total_rss + rss)) total_pss=$((total_pss + pss))
    total_cpu=$(awk "BEGIN { printf \"%.4f\", $total_cpu + $cpu }")
  done
  bytes=$(stat -c %s "$LAB_BIN/voltaxe-sentinel")
  printf '%-22s %10d %10d %12s\n' 'the agent, both' "$total_rss" "$total_pss" "$total_cpu"
  printf '%-22s %10d %10s %12s\n' 'at most' $most_memory '' $most_cpu
  printf 'binary: %d bytes, at most %d\n' "$bytes" $most_bytes
  [ "$total_rss" -le $most_memory ] || { ok=1; say "the agent holds more memory than $most_memory kB"; }
  awk "BEGIN { exit !($total_cpu <= $most_cpu) }" || { ok=1; say "the idle agent takes more than $most_cpu % of a processor"; }
  [ "$bytes" -le $most_bytes ] || { ok=1; say "the binary has more than $most_bytes bytes"; }
  return $ok
}

field() { awk -v name="$2:" '$1 == name { print $2 }' "/proc/$1/smaps_rollup"; }

# Nanoseconds on a processor, of all threads that live.
spent() { cat "/proc/$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }

main

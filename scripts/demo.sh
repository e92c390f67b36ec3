#!/usr/bin/env bash
# The demo: the server and three hosts (web-01, web-02, db-01) with a real agent each, on this machine.
# usage: scripts/demo.sh up|down|shell [HOST [COMMAND]]
#   up     start all and stay until Ctrl-C or TERM, which cleans up; DETACH=1 returns once all is ready
#   down   stop and remove all but the data; PURGE=1 removes the data too
#   shell  a shell on a demo host, or one command there
# environment: VOLTAXE_PORT (8080), VOLTAXE_DEMO_STATE (/var/lib/voltaxe-demo), DATABASE_URL (instead of an own Postgres)
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/lib.sh"

export LAB_STATE=${VOLTAXE_DEMO_STATE:-/var/lib/voltaxe-demo}
export VOLTAXE_PORT=${VOLTAXE_PORT:-8080}
LAB_HOSTS="web-01:11 web-02:12 db-01:21"
export LAB_HOSTS
RUN_DIR=$LAB_STATE/run
lab() { "$ROOT/scripts/lab.sh" "$@"; }

main() {
  [[ $VOLTAXE_PORT =~ ^[0-9]+$ ]] || die "VOLTAXE_PORT is '$VOLTAXE_PORT', not a port number" "make up VOLTAXE_PORT=8090"
  case "${1:-}" in
    up | down | shell) ;;
    *) die "usage: scripts/demo.sh up|down|shell [HOST [COMMAND]]" ;;
  esac
  if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null; then
    say "the demo hosts are network namespaces: asking sudo for root"
    exec sudo --preserve-env=VOLTAXE_PORT,VOLTAXE_DEMO_STATE,DATABASE_URL,DETACH,PURGE,NO_COLOR "$0" "$@"
  fi
  local verb=$1
  shift
  "demo_$verb" "$@"
}

demo_up() {
  trap 'exit 0' INT
  trap 'exit 143' TERM HUP
  trap clean_up EXIT
  say "creating the demo network"
  LAB_OWNER=$$ lab up
  say "starting the server (the first start creates its database)"
  lab server-start
  enrol_hosts
  say "starting the agents"
  local host
  declare -A log_size
  for host in $LAB_HOSTS; do
    host=${host%%:*}
    log_size[$host]=$(stat -c %s "$LAB_STATE/log/agent-$host.log" 2>/dev/null || echo 0)
    lab agent-start "$host"
  done
  until_true 20 all_connected || say "not every agent is connected yet; see $LAB_STATE/log"
  print_doors

  if [ "${DETACH:-}" = 1 ]; then
    rm -f "$RUN_DIR/owner.pid"
    trap - EXIT
    return
  fi
  # Not `tail --pid`: it takes a process that nobody has reaped for a live one. In the background, so that a signal is
  # answered at once.
  while live_pid server >/dev/null; do
    sleep 0.5 &
    wait $! || true
  done
  if [ "$(live_pid owner)" != $$ ]; then
    say "stopped by make down"
    exit 0
  fi
  tail -n 25 "$LAB_STATE/log/server.log" >&2
  die "the server ended by itself" "its whole log is in $LAB_STATE/log/server.log"
}

clean_up() {
  local status=$?
  trap '' INT TERM HUP
  # Refused because another demo runs: that one is not ours to end.
  [ "$(live_pid owner)" = $$ ] || exit "$status"
  say "stopping the agents and the server, removing the demo network"
  lab down
  say "stopped; the data stays in $LAB_STATE (make down PURGE=1 removes it)"
  exit "$status"
}

# One token for all hosts that have no identity yet; it goes from pipe to pipe and into no argument list.
enrol_hosts() {
  local host missing=()
  for host in $LAB_HOSTS; do
    [ -s "$LAB_STATE/hosts/${host%%:*}/state/identity.json" ] || missing+=("${host%%:*}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "enrolling ${missing[*]}"
  local enrolment
  enrolment=$(lab admin enrolment-token --label demo --uses ${#missing[@]})
  for host in "${missing[@]}"; do
    lab enrol "$host" <<<"$enrolment" >>"$LAB_STATE/log/enrol.log" 2>&1 || {
      tail -n 10 "$LAB_STATE/log/enrol.log" >&2
      die "$host could not be enrolled" "the whole output is in $LAB_STATE/log/enrol.log"
    }
  done
}

# Every agent said so in its log since this start.
all_connected() {
  local host
  for host in $LAB_HOSTS; do
    host=${host%%:*}
    tail -c "+$((${log_size[$host]} + 1))" "$LAB_STATE/log/agent-$host.log" | grep -q 'COMMAND STREAM\] Connected' || return 1
  done
}

print_doors() {
  local link
  printf '\n'
  printf '  Dashboard    http://127.0.0.1:%s\n' "$VOLTAXE_PORT"
  if link=$(lab admin setup-link 2>/dev/null) && [[ $link == *http* ]]; then
    printf '  First login  %s\n' "$link"
    printf '               (creates the administrator; works once)\n'
  fi
  cat <<'END'

  A shell on a demo host      make shell HOST=web-01      (web-02, db-01)
  Isolate web-01 in the dashboard, then prove it from that shell:
    curl -m 3 http://10.77.0.100:8000/               the host outside, IPv4: no answer while isolated
    curl -m 3 -g 'http://[fd77::100]:8000/'          the same, IPv6
    nft list ruleset                                 the same before isolation and after release
END
  if [ "${DETACH:-}" = 1 ]; then
    printf '\n  Stop         make down\n\n'
  else
    printf '\n  Stop         Ctrl-C here, or make down in another terminal\n\n'
  fi
}

demo_down() {
  lab down
  if [ "${PURGE:-}" = 1 ]; then
    [ ! -e "$LAB_STATE" ] || [ -e "$LAB_STATE/.voltaxe-lab" ] ||
      die "$LAB_STATE is not a demo's state directory" "check VOLTAXE_DEMO_STATE"
    rm -rf "$LAB_STATE"
    say "stopped, and its data removed"
  else
    say "stopped; the data stays in $LAB_STATE (make down PURGE=1 removes it)"
  fi
}

demo_shell() {
  local host=${1:-web-01}
  if [ -n "${2:-}" ]; then
    exec "$ROOT/scripts/lab.sh" exec "$host" bash -c "$2"
  fi
  PS1='root@\h (demo host) # ' exec "$ROOT/scripts/lab.sh" exec "$host" bash --norc
}

main "$@"

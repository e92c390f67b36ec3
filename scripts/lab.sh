#!/usr/bin/env bash
# A small fleet on one machine: each host is a network namespace on a bridge, with a firewall and a machine id of its own.
# Needs root. Everything it makes is named after $LAB_PREFIX or lies in $LAB_STATE.
# usage: scripts/lab.sh VERB [ARGUMENT..]
#   up                        network, hosts, and the host outside with its HTTP service
#   down                      end every process it started, remove the network; the files stay
#   exec HOST COMMAND..       run a command on a host (or on `outside`)
#   server-start              start voltaxe-server and wait until it is ready
#   server-stop [SIGNAL]      end it, and with it its Postgres
#   admin ARGUMENT..          voltaxe-server admin, on that server
#   enrol HOST                enrol the host's agent; the enrolment string comes on stdin
#   agent-start HOST          start the host's agent
#   agent-stop HOST [SIGNAL]  end it
#   env                       print the server's environment
# environment (defaults are the demo's):
#   LAB_STATE=/var/lib/voltaxe-demo   LAB_PREFIX=vx   LAB_NET=77 (10.77.0.0/24 and fd77::/64)
#   LAB_HOSTS="web-01:11 web-02:12 db-01:21" (name:last byte of the address)   VOLTAXE_PORT=8080
#   LAB_BIN=target/release   LAB_OWNER=PID (the lab counts as abandoned when that process is gone)
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT/scripts/lib.sh"
PATH=$PATH:/usr/sbin:/sbin

LAB_STATE=${LAB_STATE:-/var/lib/voltaxe-demo}
LAB_PREFIX=${LAB_PREFIX:-vx}
LAB_NET=${LAB_NET:-77}
LAB_HOSTS=${LAB_HOSTS:-web-01:11 web-02:12 db-01:21}
LAB_BIN=${LAB_BIN:-$ROOT/target/release}
VOLTAXE_PORT=${VOLTAXE_PORT:-8080}
RUN_DIR=$LAB_STATE/run
LOG_DIR=$LAB_STATE/log
BRIDGE=${LAB_PREFIX}br0
GATEWAY4=10.$LAB_NET.0.1
GATEWAY6=fd$LAB_NET::1

main() {
  [ $# -gt 0 ] || usage
  local verb=$1
  shift
  [ "$(id -u)" = 0 ] || die "the demo hosts are network namespaces, and these need root" \
    "run it as root, for example: sudo --preserve-env=PATH,HOME make up"
  case "$verb" in
    down) lab_down_by_hand ;;
    up | exec | admin | enrol | env) "lab_$verb" "$@" ;;
    server-start | agent-start | agent-stop) "lab_${verb/-/_}" "$@" ;;
    server-stop) lab_server_stop "${1:-TERM}" ;;
    *) usage ;;
  esac
}

usage() {
  sed -n '2,/^set -/{ /^set -/d; s/^# \{0,1\}//; p }' "$0" >&2
  exit 2
}

lab_up() {
  ip netns list >/dev/null 2>&1 || die "this machine has no network namespaces (ip netns list fails)" \
    "run on a Linux host or in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN"
  take_over_leftovers
  mkdir -p "$RUN_DIR" "$LOG_DIR" "$LAB_STATE/hosts"
  # Postgres runs as another user inside and must be able to pass.
  chmod 0711 "$LAB_STATE"
  chmod 0700 "$RUN_DIR" "$LOG_DIR" "$LAB_STATE/hosts"
  : >"$LAB_STATE/.voltaxe-lab"
  [ -z "${LAB_OWNER:-}" ] || record_pid owner "$LAB_OWNER"

  ip link add "$BRIDGE" type bridge stp_state 0 forward_delay 0
  ip link set "$BRIDGE" alias "voltaxe lab $LAB_STATE"
  sysctl -qw "net.ipv6.conf.$BRIDGE.accept_dad=0"
  ip addr add "$GATEWAY4/24" dev "$BRIDGE"
  ip addr add "$GATEWAY6/64" dev "$BRIDGE" nodad
  ip link set "$BRIDGE" up

  local host
  for host in $LAB_HOSTS outside:100; do add_host "${host%%:*}" "${host##*:}"; done
  for host in $LAB_HOSTS; do
    host=${host%%:*}
    mkdir -p "$LAB_STATE/hosts/$host"
    [ -s "$(machine_id "$host")" ] || tr -d - </proc/sys/kernel/random/uuid >"$(machine_id "$host")"
    write_agent_conf "$host"
    write_commands "$host"
    in_host "$host" nft -f "$ROOT/scripts/lab/host-firewall.nft"
  done
  spawn outside ip netns exec "$LAB_PREFIX-outside" "$(python)" "$ROOT/scripts/lab/outside.py" 8000
  host=${LAB_HOSTS%%:*}
  local address
  for address in "10.$LAB_NET.0.100" "[fd$LAB_NET::100]"; do
    until_true 10 in_host "$host" curl -fsS -g -m 2 -o /dev/null "http://$address:8000/" || die \
      "$host does not reach the host outside at $address" \
      "a firewall on this machine may drop bridged traffic; try: iptables -I FORWARD -i $BRIDGE -o $BRIDGE -j ACCEPT (and ip6tables)"
  done
}

# What a crashed run left behind is removed, and only what is ours: the bridge carries the name of its state directory.
take_over_leftovers() {
  local label owner_state=$LAB_STATE
  if label=$(cat "/sys/class/net/$BRIDGE/ifalias" 2>/dev/null); then
    [[ $label == "voltaxe lab "* ]] || die "there is a network interface $BRIDGE that is not ours" \
      "remove it (ip link del $BRIDGE), or choose another prefix with LAB_PREFIX"
    owner_state=${label#voltaxe lab }
  fi
  if [ "$owner_state" != "$LAB_STATE" ]; then
    LAB_STATE=$owner_state in_use_or_down
  fi
  in_use_or_down
}

in_use_or_down() {
  local RUN_DIR=$LAB_STATE/run LOG_DIR=$LAB_STATE/log
  ! in_use || die "the demo network $BRIDGE is in use by $LAB_STATE" "stop it with make down"
  lab_down
}

add_host() {
  local name=$1 number=$2 namespace=$LAB_PREFIX-$1 setting
  ip netns add "$namespace"
  for setting in all default; do ip netns exec "$namespace" sysctl -qw "net.ipv6.conf.$setting.accept_dad=0"; done
  ip link add "$namespace" type veth peer name eth0 netns "$namespace"
  sysctl -qw "net.ipv6.conf.$namespace.disable_ipv6=1"
  ip link set "$namespace" master "$BRIDGE" up
  ip -n "$namespace" link set lo up
  ip -n "$namespace" addr add "10.$LAB_NET.0.$number/24" dev eth0
  ip -n "$namespace" addr add "fd$LAB_NET::$number/64" dev eth0 nodad
  ip -n "$namespace" link set eth0 up
  ip -n "$namespace" route add default via "$GATEWAY4"
  ip -n "$namespace" -6 route add default via "$GATEWAY6"
}

lab_down_by_hand() {
  local label
  label=$(cat "/sys/class/net/$BRIDGE/ifalias" 2>/dev/null) || label=
  if [ -n "$label" ] && [ "$label" != "voltaxe lab $LAB_STATE" ]; then
    die "the network $BRIDGE belongs to another one: $label" "make down VOLTAXE_DEMO_STATE=${label#voltaxe lab }"
  fi
  # A `make up` in the foreground sees by this that it need not clean up.
  rm -f "$RUN_DIR/owner.pid"
  lab_down
}

lab_down() {
  local host name
  for host in $LAB_HOSTS; do stop "agent-${host%%:*}"; done
  lab_server_stop TERM
  stop outside
  for host in $LAB_HOSTS outside:100; do
    name=$LAB_PREFIX-${host%%:*}
    if [ -e "/run/netns/$name" ]; then
      end_all_inside "$name"
      ip netns del "$name"
    fi
    # A process that outlived its namespace's name would keep the pair of interfaces.
    ip link del "$name" 2>/dev/null || true
  done
  if ip link show "$BRIDGE" >/dev/null 2>&1; then ip link del "$BRIDGE"; fi
  rm -rf "$RUN_DIR"
}

# Shells that somebody left open on a host end with it.
end_all_inside() {
  local pid
  for pid in $(ip netns pids "$1"); do kill -HUP "$pid" 2>/dev/null || true; done
  until_true 2 empty "$1" || for pid in $(ip netns pids "$1"); do kill -KILL "$pid" 2>/dev/null || true; done
}

empty() { [ -z "$(ip netns pids "$1")" ]; }

lab_exec() {
  [ $# -ge 2 ] || die "exec needs a host and a command"
  local host=$1
  shift
  need_host "$host"
  in_host "$host" "$@"
}

lab_env() {
  # What the server reads; one place for the demo, the browser tests and the bench.
  cat <<END
VOLTAXE_STATE_DIR=$LAB_STATE/server
VOLTAXE_LISTEN=127.0.0.1:$VOLTAXE_PORT
VOLTAXE_AGENT_LISTEN=$GATEWAY4:$VOLTAXE_PORT
VOLTAXE_AGENT_URL=http://$GATEWAY4:$VOLTAXE_PORT
LEPTOS_OUTPUT_NAME=voltaxe
LEPTOS_SITE_ROOT=$ROOT/target/release/site
LEPTOS_SITE_PKG_DIR=pkg
LEPTOS_SITE_ADDR=127.0.0.1:$VOLTAXE_PORT
LEPTOS_HASH_FILES=true
LEPTOS_ENV=PROD
END
}

lab_server_start() {
  local variables address
  ! live_pid server >/dev/null || die "the server of $LAB_STATE is running already"
  for address in "127.0.0.1:$VOLTAXE_PORT" "$GATEWAY4:$VOLTAXE_PORT"; do
    port_free "$address" || die "$address is taken by another program" \
      "stop it, or choose another port: make up VOLTAXE_PORT=8090"
  done
  mapfile -t variables < <(lab_env)
  spawn server env "${variables[@]}" "$LAB_BIN/voltaxe-server" serve
  if ! until_true "${LAB_READY_SECONDS:-60}" ready_or_dead || ! live_pid server >/dev/null; then
    tail -n 25 "$LOG_DIR/server.log" >&2
    die "the server did not become ready" "its whole log is in $LOG_DIR/server.log"
  fi
}

ready_or_dead() {
  curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$VOLTAXE_PORT/readyz" || ! live_pid server
}

port_free() {
  local listening
  listening=$(ss -Hltn "sport = :${1##*:}" | awk '{ print $4 }')
  ! grep -qxF -e "$1" -e "0.0.0.0:${1##*:}" -e "*:${1##*:}" -e "[::]:${1##*:}" <<<"$listening"
}

lab_server_stop() {
  stop server "$1" 20
  end_orphaned_postgres
}

# A server that was killed could not take its Postgres along.
end_orphaned_postgres() {
  local file directory pid
  [ -d "$LAB_STATE/server" ] || return 0
  while IFS= read -r file; do
    directory=${file%/*}
    pid=$(head -n 1 "$file" 2>/dev/null) || continue
    [[ $pid =~ ^[0-9]+$ ]] || continue
    [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$directory" ] || continue
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = postgres ] || continue
    record_pid postgres "$pid"
    stop postgres INT 15
  done < <(find "$LAB_STATE/server" -name postmaster.pid 2>/dev/null)
}

lab_admin() {
  local variables
  mapfile -t variables < <(lab_env)
  exec env "${variables[@]}" "$LAB_BIN/voltaxe-server" admin "$@"
}

lab_enrol() {
  need_host "${1:-}"
  in_host "$1" voltaxe-sentinel enroll --token-file -
}

lab_agent_start() {
  need_host "${1:-}"
  ! live_pid "agent-$1" >/dev/null || die "the agent of $1 is running already"
  spawn "agent-$1" ip netns exec "$LAB_PREFIX-$1" unshare --uts --mount sh -c "hostname '$1'; exec \"\$@\"" sh \
    "$LAB_BIN/voltaxe-sentinel" run --config "$(agent_conf "$1")"
}

lab_agent_stop() {
  need_host "${1:-}"
  stop "agent-$1" "${2:-TERM}"
}

write_agent_conf() {
  cat >"$(agent_conf "$1")" <<END
[server]
api_url = http://$GATEWAY4:$VOLTAXE_PORT

[polling]
enabled = true
interval_seconds = 10

[agent]
state_dir = $LAB_STATE/hosts/$1/state
machine_id_file = $(machine_id "$1")
END
}

# On a host's PATH: the agent with the host's configuration, and a sudo for a machine where we are root already.
write_commands() {
  local bin=$LAB_STATE/hosts/$1/bin
  mkdir -p "$bin"
  printf '#!/bin/sh\nexec %q "$@" --config %q\n' "$LAB_BIN/voltaxe-sentinel" "$(agent_conf "$1")" >"$bin/voltaxe-sentinel"
  printf '#!/bin/sh\nexec "$@"\n' >"$bin/sudo"
  chmod 0755 "$bin"/*
}

agent_conf() { echo "$LAB_STATE/hosts/$1/agent.conf"; }
machine_id() { echo "$LAB_STATE/hosts/$1/machine-id"; }

in_host() {
  local host=$1
  shift
  PATH=$LAB_STATE/hosts/$host/bin:$PATH \
    ip netns exec "$LAB_PREFIX-$host" unshare --uts sh -c "hostname '$host'; exec \"\$@\"" sh "$@"
}

need_host() {
  local names host
  names=$(for host in $LAB_HOSTS outside; do printf "%s " "${host%%:*}"; done)
  if [ -z "$1" ] || [[ " $names " != *" $1 "* ]]; then die "there is no demo host named '$1'" "choose one of: $names"; fi
  [ -e "/run/netns/$LAB_PREFIX-$1" ] || die "the demo host $1 is not up" "start it with make up"
}

# The system's python, where there is one: a version manager's shim starts slowly and needs its own HOME.
python() { if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else command -v python3; fi; }

# True while a recorded process runs, unless its owner is gone: then nobody will ever stop it.
in_use() {
  local file
  if [ -e "$RUN_DIR/owner.pid" ] && ! live_pid owner >/dev/null; then return 1; fi
  for file in "$RUN_DIR"/*.pid; do
    [ -e "$file" ] || continue
    file=${file##*/}
    [ "$file" != owner.pid ] || continue
    ! live_pid "${file%.pid}" >/dev/null || return 0
  done
  return 1
}

main "$@"

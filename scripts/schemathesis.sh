#!/usr/bin/env bash
# Throws requests made from the API's own description at a server of its own, with an API token of each role: no answer may be a
# 5xx, have a status that is not documented, or a body that its schema does not allow.
# usage: scripts/schemathesis.sh          at least 10,000 requests, about 5 minutes
#        scripts/schemathesis.sh short    about 5,000, a minute and a half, for `make test`
# environment: VOLTAXE_BIN (target/release), VOLTAXE_SEED (1)
# Ends with the line "N passed, N failed" (operations, each with each role); the reports are in target/schemathesis.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

SCHEMATHESIS_VERSION=4.32.5
case "${1:-full}" in
  short) least=4000 bound=(--max-examples 5) ;;
  full) least=10000 bound=(--max-time 280) ;;
  *) die "usage: scripts/schemathesis.sh [short]" ;;
esac
work=$PWD/target/schemathesis
bin=$(realpath "${VOLTAXE_BIN:-target/release}")
seed=${VOLTAXE_SEED:-1}
state=$(mktemp -d)
# PostgreSQL does not run as root: its user passes through.
chmod 711 "$state"
RUN_DIR=$state/run
LOG_DIR=$work/log

main() {
  [ -x "$bin/voltaxe-server" ] || die "$bin/voltaxe-server is missing" "run: make build"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  rm -rf "$LOG_DIR" "$work"/*.json
  install_schemathesis
  start_server
  enrol web-01
  local role runs=()
  say "schemathesis with seed $seed, all roles at once"
  for role in viewer responder admin; do
    run_as "$role" &
    runs+=($!)
  done
  wait "${runs[@]}" || true
  sum_up
}

clean_up() {
  local status=$?
  trap '' INT TERM HUP
  stop server TERM 20
  rm -rf "$state"
  exit "$status"
}

install_schemathesis() {
  local venv=$work/venv
  [ "$("$venv/bin/schemathesis" --version 2>/dev/null)" = "schemathesis, version $SCHEMATHESIS_VERSION" ] && return
  say "installing schemathesis $SCHEMATHESIS_VERSION from PyPI"
  rm -rf "$venv"
  mkdir -p "$work"
  python3 -m venv "$venv" || die "python3 cannot make a virtual environment" "apt-get install -y python3-venv"
  quiet schemathesis "$venv/bin/pip" install -q "schemathesis==$SCHEMATHESIS_VERSION" ||
    die "schemathesis could not be installed" "is PyPI reachable? pip's words are in target/setup-log/schemathesis.log"
}

start_server() {
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  spawn server "$bin/voltaxe-server" --state-dir "$state/server" --listen "127.0.0.1:$port" serve
  until_true 60 curl -fsS -o /dev/null "http://127.0.0.1:$port/readyz" ||
    die "the server is not ready within 60 s" "its log is $LOG_DIR/server.log"
}

admin() { "$bin/voltaxe-server" --state-dir "$state/server" --listen "127.0.0.1:$port" admin "$@"; }

# enrol NAME: a host that orders can go to; no agent runs there.
enrol() {
  local map=()
  [ "$(id -u)" = 0 ] || map=(--map-root-user)
  printf '[server]\napi_url = http://127.0.0.1:%s\n[agent]\nstate_dir = %s/agent\n' "$port" "$state" >"$state/agent.conf"
  admin enrolment-token --label schemathesis |
    unshare "${map[@]}" --uts sh -c "hostname '$1' && exec \"\$@\"" sh \
      "$bin/voltaxe-sentinel" enroll --token-file - --config "$state/agent.conf" >>"$LOG_DIR/enrol.log" 2>&1 ||
    die "$1 could not be enrolled" "the whole output is in $LOG_DIR/enrol.log"
}

# The stream of events has no end, and is not for this. The token is no argument; what schemathesis keeps goes with the state.
run_as() {
  local role=$1
  cd "$state"
  cat >"$state/$role.toml" <<'END'
[headers]
Authorization = "Bearer ${VOLTAXE_TOKEN}"
END
  VOLTAXE_TOKEN=$(admin api-token --name "schemathesis-$role" --role "$role") \
    timeout 600 "$work/venv/bin/schemathesis" --config-file "$state/$role.toml" run \
    "http://127.0.0.1:$port/api/openapi.json" \
    --exclude-path /events \
    --phases examples,coverage,fuzzing \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method \
    "${bound[@]}" --seed "$seed" --generation-database none \
    --request-timeout 30 --suppress-health-check all --warnings off --continue-on-failure --no-color \
    --report json --report-json-path "$work/$role.json" \
    >"$LOG_DIR/$role.log" 2>&1 </dev/null || true
}

sum_up() {
  python3 scripts/schemathesis_sum.py "$least" "$work" viewer responder admin
}

main

#!/usr/bin/env bash
# Kills, cuts, fills, flips and replays everything that can be, at full length, and says in one table what held.
# usage: scripts/chaos.sh          everything, release builds, about 15 minutes
#        scripts/chaos.sh short    only the server chaos, in its short form, for `make test` (the other short forms are tests)
# Every line that starts with "chaos:" names its seed; VOLTAXE_SEED repeats it. On failure the logs are kept in target/chaos.
# Exit status 0 only when every row holds.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh
export SQLX_OFFLINE=true CARGO_TERM_COLOR=never RUST_BACKTRACE=0
logs=target/chaos
failed=0
rm -rf "$logs"
mkdir -p "$logs"

# One row a chaos run: the name it prints, the fault, and what must hold.
rows=(
  "commands over all channels|100,000 commands, duplicates, reorders, losses|each executed exactly once"
  "kills|real agent killed -9 at each journal point|final and right"
  "outage, then requests|server away 10 min, 2,000 results wait (polling)|drained in order"
  "outage, then a stream|server away 10 min, 2,000 results wait (stream)|drained in order"
  "a real agent's outbox|server away from a real agent|drained in order"
  "flipped bits of a journal|each single-bit flip of a journal|noticed, others kept"
  "truncations of a journal|each truncation of a journal|noticed, others kept"
  "flipped bits on disk|damage found when a journal is opened|set aside, mended"
  "mutated envelopes|1,000,000 mutated envelopes|0 accepted, 0 panics"
  "replayed commands|replayed commands|0 executed again"
  "simulation|simulated clock, network, disk, database: 10,000 seeds|every invariant"
  "model against store|the simulation's queue against the real one|0 answers differ"
  "server chaos|server killed -9 200 times, Postgres at once 50 times|nothing acknowledged lost"
  "replayed requests|100,000 replayed signed requests|0 accepted"
)

# run NAME COMMAND..: its output goes to the terminal and to a log; a failure is remembered.
run() {
  local name=$1 began=$SECONDS
  shift
  say "$name"
  if "$@" </dev/null 2>&1 | tee "$logs/$name.log"; then
    say "$name: done in $((SECONDS - began)) s"
  else
    failed=1
    say "$name: FAILED after $((SECONDS - began)) s; its log is $logs/$name.log"
  fi
}

# count WORD TEXT: the number before the word ("12 done"), or a dash.
count() {
  local number
  number=$(grep -oE "[0-9]+ $1" <<<"$2" | head -n 1)
  echo "${number%% *}" | grep . || echo -
}

# row FAULT MUST_HOLD DONE LOST DOUBLED STUCK VERDICT
row() { printf '%-58s | %-28s | %8s | %5s | %7s | %5s | %s\n' "$@"; }

table() {
  local entry name fault must line verdict
  row fault "must hold" "done" lost doubled stuck verdict
  for entry in "${rows[@]}"; do
    IFS='|' read -r name fault must <<<"$entry"
    line=$(grep -hF "chaos: $name: seed" "$logs"/*.log | grep -v FAILED | tail -n 1)
    verdict=holds
    if [ -z "$line" ]; then
      verdict="DOES NOT HOLD (see $logs)"
    elif grep -qE '[1-9][0-9]* (lost|doubled|stuck|otherwise wrong|accepted|executed again|answers differ)\b' <<<"$line"; then
      verdict="DOES NOT HOLD (see $logs)"
    fi
    [ "$verdict" = holds ] || failed=1
    row "$fault" "$must" "$(count '(done|waited)' "$line")" "$(count lost "$line")" "$(count doubled "$line")" \
      "$(count stuck "$line")" "$verdict"
  done
}

agent_tests() {
  VOLTAXE_CHAOS=full cargo test --release -p voltaxe-sentinel --lib -- chaos outage forgeries --nocapture --test-threads=1
}
# Kills at fault points, which a release build does not have.
agent_kills() { VOLTAXE_CHAOS=full cargo test -p voltaxe-sentinel --test it kills -- --nocapture --test-threads=1; }
agent_outbox() { VOLTAXE_CHAOS=full cargo test -p voltaxe-sentinel --test it outage -- --nocapture --test-threads=1; }
simulation() { VOLTAXE_CHAOS=full cargo test --release -p voltaxe-load --test sim -- --nocapture --test-threads=1; }

if [ "${1:-}" = short ]; then
  run server cargo run --quiet -p voltaxe-load -- chaos --short --keep "$logs"
  exit "$failed"
fi
scripts/setup.sh test
scripts/build.sh
cargo build --quiet --release -p voltaxe-load || die "voltaxe-load does not build"
run agent agent_tests
run agent-kills agent_kills
run agent-outbox agent_outbox
run simulation simulation
run server target/release/voltaxe-load chaos --keep "$logs"
table
[ "$failed" = 0 ]

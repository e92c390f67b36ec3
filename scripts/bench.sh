#!/usr/bin/env bash
# The promised figures, with release builds, each beside the floor that this machine sets in the same run.
# usage: scripts/bench.sh [NAME..]
#   without a name: everything (about 20 minutes). First a simulated fleet against a server of the bench's own (writes
#   target/bench-delivery.json), then clicks in a real browser with a real agent and real nftables (writes target/bench.json).
#   NAME: click enqueue lifecycle polls idle batch history snapshot, of the fleet's; browser; or footprint (of the agent)
# BENCH_QUICK=1 tries everything at a tenth of the size. BENCH_CLICKS (200), BENCH_HISTORY_ROWS (20000000),
# BENCH_SNAPSHOT_SECONDS (300) and BENCH_LOG (warn) change single sizes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

fleet=() browser=0 footprint=0
if [ $# = 0 ]; then
  browser=1 footprint=1
else
  for name; do
    case "$name" in
      browser) browser=1 ;;
      footprint) footprint=1 ;;
      *) fleet+=(--only "$name") ;;
    esac
  done
fi

scripts/setup.sh test
scripts/build.sh
SQLX_OFFLINE=true cargo build --quiet --release -p voltaxe-load
say "measuring; anything else that runs on this machine disturbs it"

if [ $# = 0 ] || [ ${#fleet[@]} -gt 0 ]; then
  target/release/voltaxe-load bench "${fleet[@]}" --json target/bench-delivery.json
fi
if [ "$footprint" = 1 ]; then
  PACKAGE_ARCHS=$(uname -m) scripts/package.sh binary
  scripts/footprint.sh
fi
if [ "$browser" = 1 ]; then
  if [ -n "${BENCH_QUICK:-}" ]; then export BENCH_CLICKS=${BENCH_CLICKS:-20}; fi
  cd end2end
  exec node_modules/.bin/playwright test -c bench.config.ts
fi

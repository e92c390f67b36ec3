#!/usr/bin/env bash
# The promised figures, with release builds, each beside the floor that this machine sets in the same run.
# usage: scripts/bench.sh [NAME..]
#   without a name: everything (about 20 minutes). First a simulated fleet against a server of the bench's own (writes
#   target/bench-delivery.json), then a real browser: clicks with a real agent and real nftables (writes target/bench.json), the
#   list's first paint on a slow processor, a thousand events a second on its stream, and a day's work on 50,000 endpoints
#   (target/bench-paint.json, -stream.json, -scale.json).
#   NAME: click enqueue lifecycle polls idle batch history list pages snapshot, of the fleet's; browser, paint, scale or stream, of the browser's;
#   or footprint (of the agent)
# BENCH_QUICK=1 tries everything at a tenth of the size. BENCH_CLICKS (200), BENCH_HISTORY_ROWS (20000000), BENCH_FLEET (50000),
# BENCH_SNAPSHOT_SECONDS (300) and BENCH_LOG (warn) change single sizes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

fleet=() pages=() footprint=0
if [ $# = 0 ]; then
  pages=(click paint stream scale) footprint=1
else
  for name; do
    case "$name" in
      browser) pages+=(click) ;;
      paint | scale | stream) pages+=("$name") ;;
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
if [ -n "${BENCH_QUICK:-}" ]; then
  export BENCH_CLICKS=${BENCH_CLICKS:-20} BENCH_LOADS=${BENCH_LOADS:-3} BENCH_FLEET=${BENCH_FLEET:-5000} BENCH_STREAM_SECONDS=${BENCH_STREAM_SECONDS:-3}
fi
cd end2end
# A server of its own for each: one's fleet is in nobody else's way.
for name in "${pages[@]}"; do
  node_modules/.bin/playwright test -c bench.config.ts "bench/$name.bench.ts"
done

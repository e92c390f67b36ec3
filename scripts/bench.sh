#!/usr/bin/env bash
# Click to executed-and-shown over 200 clicks (BENCH_CLICKS), with a release build, a real agent in a network namespace and
# real nftables, beside the floor that this machine's disk sets in the same run. Writes target/bench.json.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh test
scripts/build.sh
say "measuring; anything else that runs on this machine disturbs it"
cd end2end
exec node_modules/.bin/playwright test -c bench.config.ts

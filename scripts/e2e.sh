#!/usr/bin/env bash
# The browser tests; arguments go to Playwright. They start and stop their own server, hosts and agents.
# UPDATE_SCREENSHOTS=1 also writes end2end/screenshots.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
for binary in voltaxe-server voltaxe-sentinel; do
  [ -x "target/release/$binary" ] || die "there is no release build of $binary" "run make build, or make test"
done
# Simulated hosts, where three are too few.
SQLX_OFFLINE=true cargo build --quiet --release -p voltaxe-load
cd end2end
exec node_modules/.bin/playwright test "$@"

#!/usr/bin/env bash
# What a change must pass before it is pushed, apart from the tests. Every check runs; ends non-zero when one failed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
export SQLX_OFFLINE=true
failed=()

run() {
  say "$*"
  "$@" || failed+=("$*")
}

run cargo fmt --all --check
run cargo clippy --all-targets -- -D warnings
run cargo clippy -p hydrate --target wasm32-unknown-unknown -- -D warnings
run scripts/check-arrows.sh
if command -v shellcheck >/dev/null; then
  run shellcheck -x scripts/*.sh .ci/run
else
  say "shellcheck is not installed: the scripts were not checked"
fi
if [ -x end2end/node_modules/.bin/tsc ]; then run end2end/node_modules/.bin/tsc --noEmit -p end2end; fi

[ ${#failed[@]} = 0 ] || die "${#failed[@]} of the checks failed: $(printf '%s; ' "${failed[@]}")"

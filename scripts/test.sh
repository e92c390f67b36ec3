#!/usr/bin/env bash
# Every test, with real parts: network namespaces, nftables, Postgres, Chromium. All runners run even when one fails.
# Ends with the plain line "N passed, N failed", the sum over all of them; exit status 0 only when nothing failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh
export SQLX_OFFLINE=true CARGO_TERM_COLOR=never
passed=0 failed=0
logs=target/test-log
mkdir -p "$logs"

# add NAME PASSED FAILED STATUS: a runner that died, or that ran nothing, counts as one failure.
add() {
  local name=$1 good=$2 bad=$3 status=$4
  if [ "$bad" = 0 ] && [ "$status" != 0 ]; then
    say "$name ended with status $status and named no failed test: counted as 1 failed"
    bad=1
  elif [ "$good" = 0 ] && [ "$bad" = 0 ]; then
    say "$name ran no test: counted as 1 failed"
    bad=1
  fi
  say "$name: $good passed, $bad failed"
  passed=$((passed + good)) failed=$((failed + bad))
}

# step NAME COMMAND..: something without tests of its own that must work.
step() {
  local name=$1 status=0
  shift
  say "$name"
  "$@" </dev/null || status=$?
  if [ "$status" = 0 ]; then return; fi
  say "$name failed with status $status: counted as 1 failed"
  failed=$((failed + 1))
  return 1
}

arrows() {
  local status=0
  say "arrows between the crates"
  scripts/check-arrows.sh </dev/null | tee "$logs/arrows.log" || status=$?
  add arrows "$(grep -c '^ok ' "$logs/arrows.log")" "$(grep -c '^FAIL ' "$logs/arrows.log")" "$status"
}

rust_tests() {
  local status=0
  say "cargo test"
  cargo test --no-fail-fast </dev/null 2>&1 | tee "$logs/cargo.log" || status=$?
  add "cargo test" "$(sum_of passed "$logs/cargo.log")" "$(sum_of failed "$logs/cargo.log")" "$status"
}

# sum_of WORD FILE, over cargo's lines "test result: ok. 3 passed; 0 failed; .."
sum_of() { sed -n "s/^test result: .* \([0-9][0-9]*\) $1;.*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'; }

wasm_size() {
  local status=0
  scripts/check-size.sh </dev/null || status=$?
  if [ "$status" = 0 ]; then add "size of the pages' code" 1 0 0; else add "size of the pages' code" 0 1 "$status"; fi
}

packages() {
  local status=0
  say "units, installation and packages"
  scripts/test-package.sh </dev/null | tee "$logs/packages.log" || status=$?
  add packages "$(grep -c '^ok ' "$logs/packages.log")" "$(grep -c '^FAIL ' "$logs/packages.log")" "$status"
}

server_chaos() {
  local status=0
  say "server chaos, in its short form"
  scripts/chaos.sh short </dev/null || status=$?
  if [ "$status" = 0 ]; then add "server chaos" 1 0 0; else add "server chaos" 0 1 "$status"; fi
}

api_tests() {
  local status=0 sum
  say "requests made from the API's description, in their short form"
  scripts/schemathesis.sh short </dev/null | tee "$logs/schemathesis.log" || status=$?
  sum=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$logs/schemathesis.log")
  sum=${sum:-0 0}
  add "schemathesis" "${sum% *}" "${sum#* }" "$status"
}

browser_tests() {
  local status=0 counts
  say "browser tests"
  rm -f "$logs/e2e.json"
  PLAYWRIGHT_JSON_OUTPUT_NAME=$PWD/$logs/e2e.json scripts/e2e.sh --reporter=list,json </dev/null || status=$?
  # A test that was not reached because one before it failed has not passed.
  counts=$(node -e '
    const { expected, unexpected, flaky, skipped } = JSON.parse(require("fs").readFileSync(process.argv[1])).stats;
    console.log(expected, unexpected + flaky + skipped);
  ' "$logs/e2e.json" 2>/dev/null) || counts='0 0'
  add "browser tests" "${counts% *}" "${counts#* }" "$status"
}

step "setup" scripts/setup.sh test
built=0
step "build" scripts/build.sh && built=1
arrows
rust_tests
packages
if [ "$built" = 1 ]; then
  wasm_size
  server_chaos
  api_tests
  browser_tests
else
  add "server chaos" 0 1 1
  add "schemathesis" 0 1 1
  add "size of the pages' code" 0 1 1
  add "browser tests" 0 1 1
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

#!/usr/bin/env bash
# Checks the direction between the crates (README, architecture): who may depend on whom, and what never reaches the wasm.
# Prints one line a check and ends with "arrows: N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0

# check WHAT COMMAND..
check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    printf 'ok   %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAIL %s\n' "$what"
  fi
}

# Our crates and the ones of ours that each may name in its manifest; every crate of the workspace must stand here.
declare -A may=(
  [voltaxe-protocol]=""
  [voltaxe-sentinel]="voltaxe-protocol"
  [voltaxe-store]="voltaxe-protocol"
  [voltaxe-orchestrator]="voltaxe-protocol voltaxe-store"
  [voltaxe-markup]=""
  [voltaxe-app]="voltaxe-markup voltaxe-orchestrator voltaxe-protocol"
  [hydrate]="voltaxe-app"
  [voltaxe-load]="voltaxe-protocol"
  [voltaxe-server]="voltaxe-app voltaxe-orchestrator voltaxe-protocol voltaxe-store"
)

only_allowed() {
  local crate=$1 dependency
  for dependency in $(ours_of "$crate"); do
    [[ " ${may[$crate]} " == *" $dependency "* ]] || {
      printf '     %s names %s\n' "$crate" "$dependency"
      return 1
    }
  done
}

ours_of() {
  node -e '
    const { packages } = JSON.parse(process.argv[1]);
    const ours = new Set(packages.map((p) => p.name));
    const one = packages.find((p) => p.name === process.argv[2]);
    console.log(one.dependencies.filter((d) => d.kind !== "dev" && ours.has(d.name)).map((d) => d.name).join(" "));
  ' "$metadata" "$1"
}

metadata=$(cargo metadata --format-version 1 --no-deps)
members=$(node -e 'console.log(JSON.parse(process.argv[1]).packages.map((p) => p.name).join("\n"))' "$metadata")

for crate in $members; do
  check "$crate has its row in this table" test -n "${may[$crate]+set}"
  [ -z "${may[$crate]+set}" ] || check "$crate depends only on: ${may[$crate]:-none of ours}" only_allowed "$crate"
done

wasm_tree=$(cargo tree -p hydrate --target wasm32-unknown-unknown --edges normal --prefix none --format '{p}')
absent() { ! grep -q "^$1 " <<<"$wasm_tree"; }
check "the wasm's dependencies can be listed" test -n "$wasm_tree"
for crate in tokio sqlx axum voltaxe-orchestrator voltaxe-store voltaxe-server; do
  check "$crate does not reach the wasm" absent "$crate"
done

cdylib_only() {
  node -e '
    const one = JSON.parse(process.argv[1]).packages.find((p) => p.name === "hydrate");
    const kinds = one.targets.filter((t) => !t.kind.includes("custom-build")).flatMap((t) => t.crate_types);
    process.exit(kinds.length === 1 && kinds[0] === "cdylib" ? 0 : 1);
  ' "$metadata"
}
check "app/hydrate is a cdylib only (with rlib beside it cargo drops LTO)" cdylib_only
no_hydrate() { ! grep -A 20 '^default-members' Cargo.toml | sed '/^]/q' | grep -q 'app/hydrate'; }
check "app/hydrate is not a default member (features ssr and hydrate would be unified)" no_hydrate

printf 'arrows: %s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]

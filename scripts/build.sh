#!/usr/bin/env bash
# Release build: the server with its pages (cargo leptos) and the agent. The pages are built again only when a source of
# theirs changed: cargo-leptos would run wasm-opt and the compression every time (about 30 s).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

export SQLX_OFFLINE=true
export PATH=$PWD/end2end/node_modules/.bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
# Not target/site: `cargo leptos watch` writes its debug pages there.
export LEPTOS_SITE_ROOT=target/release/site
binary=target/release/voltaxe-server
stamp=target/release/.voltaxe-pages

main() {
  local wanted
  # Two builds at once would mix their pages.
  mkdir -p target
  exec 9>target/.pages-lock
  flock 9
  wanted=$(sources_digest)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted $(outputs)" ]; then
    if [ -e "$binary" ]; then
      say "building the server and its pages"
    else
      say "building the server and its pages for the first time: about 5 minutes on 2 cores"
    fi
    rm -f "$stamp"
    build_pages
    # Sources that changed while they were compiled must not count as built.
    echo "$wanted $(outputs)" >"$stamp"
  fi
  cargo build --quiet --release -p voltaxe-sentinel
}

# cargo-leptos always writes colours, and a line for each pass of the minifier.
build_pages() {
  export RUST_BACKTRACE=0
  if [ -t 2 ]; then
    cargo leptos build --release --split --precompress
  else
    cargo leptos build --release --split --precompress 2>&1 | sed -u 's/\x1b\[[0-9;]*m//g; /^\[swc_/d' >&2
  fi
}

# One line for all that goes into the server and its pages, and for the tools.
sources_digest() {
  local paths=(.cargo app server agent/protocol migrations public style .sqlx Cargo.toml Cargo.lock scripts/build.sh)
  {
    rustc --version
    if git rev-parse --git-dir >/dev/null 2>&1; then
      git ls-files -co --exclude-standard -z -- "${paths[@]}"
    else
      find "${paths[@]}" -type f -print0 2>/dev/null
    fi | LC_ALL=C sort -z | xargs -0 sha256sum 2>/dev/null || true
  } | sha256sum | cut -d ' ' -f 1
}

# Which files the last build left: another build over them counts as a change.
outputs() { stat -c '%n:%s:%Y' "$binary" target/release/hash.txt "$LEPTOS_SITE_ROOT"/pkg/*.wasm 2>/dev/null | tr '\n' ' '; }

main

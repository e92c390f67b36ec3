#!/usr/bin/env bash
# The code a browser loads to start with the dashboard (wasm and its glue, as brotli), and what a page that is split off loads
# besides. The targets are 250 kB and 50 kB. NOT MET at present: the list of endpoints brought the start to 286 kB, the page of an
# endpoint loads 96 kB and that of a batch 62 kB. Until they are, each may only shrink: the limits are what was measured, and every
# target that is missed is said.
set -euo pipefail
cd "$(dirname "$0")/.."
target=250000 limit=287000 page_target=50000 page_limit=97000 total=0 failed=

shopt -s nullglob
pkg=target/release/site/pkg
files=("$pkg"/*.wasm "$pkg"/*.js)
[ ${#files[@]} -ge 2 ] || { echo "FAIL $pkg holds no wasm and glue; run scripts/build.sh"; exit 1; }

compressed() { node -e 'console.log(require("zlib").brotliCompressSync(require("fs").readFileSync(process.argv[1])).length)' "$1"; }
declare -A sizes
for file in "${files[@]}"; do
  size=$(compressed "$file") name=${file#"$pkg"/}
  case $name in
    split_*|chunk_*) sizes[${name%%.*}]=$size ;;
    *) printf '     %8d bytes of brotli  %s\n' "$size" "$name"; total=$((total + size)) ;;
  esac
done
if [ "$total" -gt "$limit" ]; then
  echo "FAIL what every page starts with is $total bytes of brotli, the limit is $limit"
  failed=1
else
  echo "ok   what every page starts with is $total bytes of brotli, the limit is $limit"
fi
if [ "$total" -gt "$target" ]; then
  echo "     TARGET MISSED: $total bytes to start with, $target are wanted"
fi

# Which chunks a page that is split off needs stands in the manifest.
for manifest in "$pkg"/__wasm_split_manifest*.json; do
  while read -r page parts; do
    size=0
    for part in $parts; do size=$((size + ${sizes[$part]:-0})); done
    if [ "$size" -gt "$page_limit" ]; then
      echo "FAIL the page $page loads $size bytes of brotli besides, the limit is $page_limit"
      failed=1
    else
      echo "ok   the page $page loads $size bytes of brotli besides, the limit is $page_limit"
    fi
    if [ "$size" -gt "$page_target" ]; then
      echo "     TARGET MISSED: $size bytes for the page $page, $page_target are wanted"
    fi
  done < <(node -e '
    const pages = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
    for (const [page, parts] of Object.entries(pages)) console.log(page, parts.map((part) => part.split(".")[0]).join(" "));
  ' "$manifest")
done
exit ${failed:-0}

#!/usr/bin/env bash
# The code a browser loads to start with the dashboard (wasm and its glue, as brotli): at most 250 kB. And what a piece that is loaded
# besides may have: just above what the largest had when this was written (83 kB), so that none grows unseen.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=250000 piece_limit=85000 total=0 failed=

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

# Which files a piece needs stands in the manifest.
for manifest in "$pkg"/__wasm_split_manifest*.json; do
  while read -r piece files; do
    size=0 count=0
    for file in $files; do
      size=$((size + ${sizes[$file]:-0})) count=$((count + 1))
    done
    if [ "$size" -gt "$piece_limit" ]; then
      echo "FAIL the piece $piece loads $size bytes of brotli besides, in $count files; the limit is $piece_limit"
      failed=1
    else
      echo "ok   the piece $piece loads $size bytes of brotli besides, in $count files; the limit is $piece_limit"
    fi
  done < <(node -e '
    const pieces = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
    for (const [piece, files] of Object.entries(pieces))
      console.log(piece.replace(/_\d+$/, ""), files.map((file) => file.split(".")[0]).join(" "));
  ' "$manifest")
done
exit ${failed:-0}

#!/usr/bin/env bash
# The code a browser loads for the dashboard (wasm and its glue, as brotli) must stay within 250 kB.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=250000 total=0

shopt -s nullglob
files=(target/release/site/pkg/*.wasm target/release/site/pkg/*.js)
[ ${#files[@]} -ge 2 ] || { echo "FAIL target/release/site/pkg holds no wasm and glue; run scripts/build.sh"; exit 1; }
for file in "${files[@]}"; do
  size=$(node -e 'console.log(require("zlib").brotliCompressSync(require("fs").readFileSync(process.argv[1])).length)' "$file")
  printf '     %8d bytes of brotli  %s\n' "$size" "${file#target/release/site/pkg/}"
  total=$((total + size))
done
if [ "$total" -gt "$limit" ]; then
  echo "FAIL wasm and glue are $total bytes of brotli, the limit is $limit"
  exit 1
fi
echo "ok   wasm and glue are $total bytes of brotli, the limit is $limit"

#!/usr/bin/env bash
# The agent's packages: a static binary as deb, rpm and tar for each architecture, with SHA256SUMS, in target/packages.
# usage: scripts/package.sh [binary]   `voltaxe-server serve --packages-dir target/packages` serves them
#   binary  only the static binaries
# environment: PACKAGE_ARCHS (x86_64 aarch64), SOURCE_DATE_EPOCH (the last commit's time)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
export SQLX_OFFLINE=true
export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

name=voltaxe-sentinel
packaging=agent/packaging
# Man pages and completions, the same for every architecture; the manifests of deb and rpm name this directory.
shared=target/package
out=target/packages
archs=${PACKAGE_ARCHS:-x86_64 aarch64}
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
# Bytes; what a host downloads and holds.
largest_binary=10000000

main() {
  scripts/setup.sh package
  local arch
  for arch in $archs; do build "$arch"; done
  if [ "${1:-}" = binary ]; then return; fi
  rm -rf "$out"
  mkdir -p "$out"
  make_shared_files
  for arch in $archs; do
    make_deb "$arch"
    make_rpm "$arch"
    make_tar "$arch"
  done
  (cd "$out" && sha256sum -- *.deb *.rpm *.tar.gz >SHA256SUMS)
  say "packages are in $out"
  ls -l "$out" >&2
}

binary_of() { echo "target/$1-unknown-linux-musl/agent-release/$name"; }

build() {
  say "building the static agent for $1"
  case "$1" in
    x86_64) export CC_x86_64_unknown_linux_musl=musl-gcc ;;
    aarch64)
      # ring's C needs no libc, and Rust brings musl's own, so the compiler for glibc will do.
      export CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_musl=aarch64-linux-gnu-ar
      export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=aarch64-linux-gnu-gcc
      ;;
    *) die "PACKAGE_ARCHS names $1" "name x86_64, aarch64 or both" ;;
  esac
  cargo build --quiet --profile agent-release --target "$1-unknown-linux-musl" -p $name
  local size
  size=$(stat -c %s "$(binary_of "$1")")
  say "$1: $size bytes"
  [ "$size" -le $largest_binary ] || die "the agent for $1 has $size bytes, the limit is $largest_binary"
}

# With the binary of an architecture that this machine runs.
make_shared_files() {
  local agent
  agent=$(binary_of "$(uname -m)")
  [ -x "$agent" ] || agent=$(binary_of "${archs%% *}")
  rm -rf $shared
  mkdir -p $shared/completions
  "$agent" man $shared/man
  gzip -n9 $shared/man/*.1
  "$agent" completions bash >$shared/completions/$name.bash
  "$agent" completions zsh >$shared/completions/_$name
  "$agent" completions fish >$shared/completions/$name.fish
}

make_deb() {
  cargo deb --quiet -p $name --no-build --no-strip --profile agent-release --target "$1-unknown-linux-musl" --output "$out/"
}

make_rpm() {
  cargo generate-rpm -p agent --profile agent-release --target "$1-unknown-linux-musl" --output "$out/"
}

# For hosts without either package manager. `files` is what `setup uninstall` deletes.
make_tar() {
  local stage=$shared/stage-$1
  rm -rf "$stage"
  mkdir -p "$stage"
  put() { install -D -m "$1" "$2" "$stage/$3"; }
  put 755 "$(binary_of "$1")" usr/bin/$name
  put 755 $packaging/setup.sh usr/lib/$name/setup
  local file
  for file in "$packaging"/systemd/*.service; do put 644 "$file" "usr/lib/systemd/system/${file##*/}"; done
  put 644 $packaging/systemd/$name.sysusers usr/lib/sysusers.d/$name.conf
  put 644 $packaging/systemd/$name.tmpfiles usr/lib/tmpfiles.d/$name.conf
  put 644 $packaging/agent.conf.example usr/share/doc/$name/agent.conf.example
  for file in "$shared"/man/*.1.gz; do put 644 "$file" "usr/share/man/man1/${file##*/}"; done
  put 644 $shared/completions/$name.bash usr/share/bash-completion/completions/$name
  put 644 $shared/completions/_$name usr/share/zsh/site-functions/_$name
  put 644 $shared/completions/$name.fish usr/share/fish/vendor_completions.d/$name.fish
  : >"$stage/usr/lib/$name/files"
  find "$stage" -type f -printf '%P\n' | LC_ALL=C sort >"$shared/files"
  cp "$shared/files" "$stage/usr/lib/$name/files"
  tar --create --file - --directory "$stage" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner usr |
    gzip -n9 >"$out/$name-$version-$1.tar.gz"
}

main "$@"

#!/usr/bin/env bash
# What the agent's packages are made of: shell scripts, units, what happens around an installation; and the packages
# themselves when scripts/package.sh has built them. Installs only into a copy of this machine's root that it throws away.
# Prints one line a check and ends with "packages: N passed, N failed". Needs root for the copy.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh
name=voltaxe-sentinel
packages=target/packages
passed=0 failed=0

# check WHAT COMMAND..: shows the command's output when it fails.
check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    printf 'ok   %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAIL %s\n' "$what"
    printf '     %s\n' "${output//$'\n'/$'\n     '}"
  fi
}

main() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  scripts_are_clean
  units_are_sound
  if [ "$(id -u)" = 0 ]; then
    check "around an installation: first, upgrade, refused removal, removal, purge" in_copy scripts/package/lifecycle.sh "$PWD/agent/packaging/setup.sh" "$PWD/agent/packaging/systemd/$name.sysusers"
  fi
  if [ "$(id -u)" = 0 ] && command -v systemd-nspawn >/dev/null; then
    local server
    server=target/release/voltaxe-server
    [ -x $server ] || server=target/debug/voltaxe-server
    if [ -x $server ]; then
      local arguments=("$server" server/packaging/voltaxe-server.service server/packaging/voltaxe-server.sysusers)
      check "the server and its Postgres work in the sandbox of their unit" \
        booted scripts/package/server-unit.sh "${arguments[@]}"
      if [ -f $packages/SHA256SUMS ] && command -v dpkg >/dev/null; then
        check "the enrol page's line installs an agent that connects; it is upgraded and purged" \
          booted scripts/package/server-unit.sh "${arguments[@]}" $packages
      fi
    fi
  fi
  if [ -f $packages/SHA256SUMS ]; then
    packages_are_whole
  else
    say "there are no packages in $packages: only what they are made of was checked (make package builds them)"
  fi
  printf 'packages: %s passed, %s failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}

scripts_are_clean() {
  local file
  for file in agent/packaging/setup.sh agent/packaging/deb/* agent/packaging/rpm/* server/packaging/install.sh scripts/package/*.sh; do
    check "shellcheck ${file}" shellcheck --shell=sh "$file"
  done
}

units_are_sound() {
  local unit
  # `verify` wants the programs to be there.
  mkdir -p "$work/units"
  for unit in agent/packaging/systemd/*.service server/packaging/*.service; do
    sed 's|^ExecStart=/usr/bin/[^ ]*|ExecStart=/bin/true|' "$unit" >"$work/units/${unit##*/}"
  done
  for unit in agent/packaging/systemd/*.service; do
    check "${unit##*/} is valid" silent systemd-analyze verify --man=no "$work/units/${unit##*/}"
    check "${unit##*/} is exposed by 2.8 at most" exposure "$unit" 2.8
  done
  check "voltaxe-server.service is valid" silent systemd-analyze verify --man=no "$work/units/voltaxe-server.service"
  check "voltaxe-server.service is exposed by 1.5 at most" exposure server/packaging/voltaxe-server.service 1.5
  check "the agent's network process has no capability" grep -qx 'CapabilityBoundingSet=' "agent/packaging/systemd/$name.service"
}

# exposure UNIT LIMIT: the figure of systemd-analyze, 0 (best) to 10.
exposure() {
  local figure
  figure=$(systemd-analyze security --offline=true --no-pager "$1" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
  echo "exposure is ${figure:-unknown}"
  [ -n "$figure" ] && awk "BEGIN { exit !($figure <= $2) }"
}

# A warning is a failure, too.
silent() {
  local output
  output=$("$@" 2>&1) && [ -z "$output" ] && return
  printf '%s\n' "$output"
  return 1
}

packages_are_whole() {
  check "every package is what SHA256SUMS says" sums
  local arch package
  for arch in x86_64 aarch64; do
    package=$(newest "$packages/$name-*-$arch.tar.gz")
    [ -n "$package" ] || continue
    mkdir -p "$work/$arch"
    tar -xzf "$package" -C "$work/$arch"
    check "$arch: the tar holds the files that its list names" listed "$work/$arch"
    check "$arch: the agent is static" static "$work/$arch/usr/bin/$name"
    check "$arch: the agent has 10 MB at most" smaller "$work/$arch/usr/bin/$name" 10000000
    check "$arch: the deb holds what the tar holds" same_as_tar "$arch" "$(contents_of_deb "$arch")"
    if command -v rpm2cpio >/dev/null && command -v cpio >/dev/null; then
      check "$arch: the rpm holds what the tar holds" same_as_tar "$arch" "$(contents_of_rpm "$arch")"
    fi
  done
  if [ "$(id -u)" = 0 ] && [ "$(uname -m)" = x86_64 ] && command -v rpm >/dev/null; then
    check "the rpm: installed, upgraded, removed" in_copy scripts/package/rpm.sh "$PWD/$(newest "$packages/$name-*.x86_64.rpm")"
  fi
  if [ "$(id -u)" = 0 ] && [ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ]; then
    check "the deb: installed, upgraded, removed, purged" in_copy scripts/package/deb.sh "$PWD/$(newest "$packages/${name}_*_amd64.deb")"
    check "the tar: installed, uninstalled" in_copy scripts/package/tar.sh "$PWD/$(newest "$packages/$name-*-x86_64.tar.gz")"
  fi
}

newest() { compgen -G "$1" | sort -V | tail -n 1; }

sums() { (cd $packages && sha256sum --quiet --check SHA256SUMS); }

listed() { diff <(cd "$1" && find . -type f -printf '%P\n' | LC_ALL=C sort) "$1/usr/lib/$name/files"; }

static() { ! readelf --program-headers "$1" | grep -q INTERP; }

smaller() {
  stat -c '%s bytes' "$1"
  [ "$(stat -c %s "$1")" -le "$2" ]
}

# The shells look for completions in different places on the two families, and only Debian wants the licence.
without_family() { sed -E 's|/zsh/[^/]*/|/zsh/|; \|/copyright$|d; \|/lib/'$name'/files$|d' | LC_ALL=C sort; }

same_as_tar() { diff <(without_family <"$work/$1/usr/lib/$name/files") <(without_family <<<"$2"); }

contents_of_deb() {
  local arch=amd64
  [ "$1" = x86_64 ] || arch=arm64
  dpkg-deb --fsys-tarfile "$(newest "$packages/${name}_*_$arch.deb")" | tar -t | sed 's|^\./||; \|/$|d'
}

contents_of_rpm() { rpm2cpio "$(newest "$packages/$name-*.$1.rpm")" | cpio -t --quiet | sed 's|^\./||; s|^/||'; }

booted() { unshare --mount --pid --fork --kill-child --mount-proc --propagation private "$@"; }

# in_copy SCRIPT ARGUMENT..: runs it as root of a copy-on-write copy of this machine, without its network.
in_copy() {
  unshare --mount --net --pid --ipc --uts --fork --propagation private scripts/package/copy.sh "$@"
}

main

#!/usr/bin/env bash
# Installs what the project needs and does not find; every step is skipped when its result is present.
# usage: scripts/setup.sh run|test|package
#   run      what `make up` needs: compilers, Postgres, nftables, the wasm target and the front-end tools
#   test     the same plus the browser, and what checks units and shell scripts
#   package  what `make package` needs: static targets with their compilers, cargo-deb and cargo-generate-rpm
# Works as root without a terminal; as another user it prints the one command an administrator must run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

WASM_BINDGEN_VERSION=$(sed -n 's/^wasm-bindgen = "=\(.*\)"/\1/p' Cargo.toml)
CARGO_LEPTOS_VERSION=0.3.10
CARGO_DEB_VERSION=3.8.0
CARGO_GENERATE_RPM_VERSION=0.21.1

want=${1:-run}
case "$want" in run | test | package) ;; *) die "usage: scripts/setup.sh run|test|package" ;; esac

# One line per Debian package: "package:file or command that proves it is there".
apt_needs=(
  build-essential:cc
  pkg-config:pkg-config
  ca-certificates:/etc/ssl/certs/ca-certificates.crt
  curl:curl
  python3:python3
  procps:sysctl
  iproute2:ip
  iputils-ping:ping
  nftables:nft
)
# Any PostgreSQL of version 14 or newer will do; Debian's default is installed when none is found.
has_postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
case "$want" in
  run) [ -n "${DATABASE_URL:-}" ] || has_postgres || apt_needs+=(postgresql:/nonexistent) ;;
  test)
    has_postgres || apt_needs+=(postgresql:/nonexistent)
    # Debian's python3 comes without what makes a virtual environment.
    python3 -c 'import ensurepip' 2>/dev/null || apt_needs+=(python3-venv:/nonexistent)
    apt_needs+=(
      chromium:/usr/bin/chromium
      fonts-dejavu-core:/usr/share/fonts/truetype/dejavu
      shellcheck:shellcheck
      systemd:systemd-analyze
      systemd-container:systemd-nspawn
    )
    ;;
  package) apt_needs+=(musl-tools:musl-gcc gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc rpm:rpm rpm2cpio:rpm2cpio cpio:cpio) ;;
esac
if [ "$want" != package ]; then
  command -v node >/dev/null || apt_needs+=(nodejs:node)
  command -v npm >/dev/null || apt_needs+=(npm:npm)
fi

missing=()
for need in "${apt_needs[@]}"; do
  proof=${need#*:}
  case "$proof" in
    /*) [ -e "$proof" ] || missing+=("${need%%:*}") ;;
    *) command -v "$proof" >/dev/null || [ -x "/usr/sbin/$proof" ] || missing+=("${need%%:*}") ;;
  esac
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    die "these packages are missing: ${missing[*]}" "run: sudo apt-get install -y ${missing[*]}"
  fi
  # Debian's package would otherwise create and start a cluster of its own on port 5432.
  if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  say "installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  quiet apt-update apt-get update -q
  quiet apt-install apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

command -v cargo >/dev/null || die "cargo is missing" "install Rust from https://rustup.rs, then run make again"

# add_target NAME
add_target() {
  [ -d "$(rustc --print sysroot)/lib/rustlib/$1" ] && return
  say "adding the rustup target $1"
  quiet rustup-target rustup target add "$1"
}

# install_tool NAME VERSION: compiled for a quick build, not for a quick tool.
install_tool() {
  [ "$("${CARGO_HOME:-$HOME/.cargo}/bin/$1" --version 2>/dev/null | grep -o '[0-9][0-9.]*' | head -n 1)" = "$2" ] && return
  say "compiling $1 $2 (about 1 min on 2 cores, once)"
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    quiet "$1" cargo install "$1" --version "$2" --locked --force
}

if [ "$want" = package ]; then
  add_target x86_64-unknown-linux-musl
  add_target aarch64-unknown-linux-musl
  install_tool cargo-deb "$CARGO_DEB_VERSION"
  install_tool cargo-generate-rpm "$CARGO_GENERATE_RPM_VERSION"
  exit 0
fi

add_target wasm32-unknown-unknown

if [ "$(wasm-bindgen --version 2>/dev/null)" != "wasm-bindgen $WASM_BINDGEN_VERSION" ]; then
  say "compiling wasm-bindgen-cli $WASM_BINDGEN_VERSION (about 3 min on 2 cores, once)"
  # No --locked: the lock file it ships names a version the registry no longer has.
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 quiet wasm-bindgen-cli \
    cargo install wasm-bindgen-cli --version "$WASM_BINDGEN_VERSION" --force
fi

if ! command -v cargo-leptos >/dev/null; then
  if command -v cargo-binstall >/dev/null; then
    say "fetching a prebuilt cargo-leptos $CARGO_LEPTOS_VERSION"
    quiet cargo-leptos-binstall cargo binstall -y --disable-strategies compile "cargo-leptos@$CARGO_LEPTOS_VERSION" || true
  fi
fi
if ! command -v cargo-leptos >/dev/null; then
  say "compiling cargo-leptos $CARGO_LEPTOS_VERSION (about 10 min on 2 cores, once)"
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    quiet cargo-leptos cargo install cargo-leptos --version "$CARGO_LEPTOS_VERSION" --locked --features no_downloads
fi

stamp=end2end/node_modules/.installed
if ! cmp -s end2end/package-lock.json "$stamp"; then
  say "installing npm packages (wasm-opt, Playwright, axe)"
  (cd end2end && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 quiet npm npm ci --no-audit --no-fund)
  cp end2end/package-lock.json "$stamp"
fi

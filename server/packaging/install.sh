#!/bin/sh
# Installs or upgrades the Voltaxe Sentinel agent from the server that this script came from. Identity, state and isolation
# of a host that has them are kept.
#
# usage: sh install.sh [--token-file PATH] [--replace] [--format deb|rpm|tar] [--root DIR] [--dry-run]
#   --token-file PATH   enrol with the string in this file; `-` reads it from standard input
#   --replace           enrol again with a new key although this host is enrolled
#   --format FORMAT     deb, rpm or tar instead of what fits this host
#   --root DIR          install into the image at DIR; nothing is enrolled or started
#   --dry-run           say what would be done, and check the server's list of packages; change nothing
#
# The console's enrol command pins this script by its SHA-256, and this script pins the list of packages, so a download that
# was altered or cut off changes nothing, over plain HTTP, too. All of it is functions; the last line alone does something.
set -eu

# Filled in by the server.
URL='@URL@'
SUMS_SHA256='@SUMS_SHA256@'

NAME=voltaxe-sentinel
IDENTITY=/var/lib/voltaxe-sentinel/identity.json

main() {
  token_file='' replace='' format='' root='' dry_run='' token=''
  read_arguments "$@"
  LC_ALL=C
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  export LC_ALL PATH
  umask 022
  check_host
  choose_format
  choose_architecture
  # Before anything that might read standard input.
  if [ -z "$dry_run" ] && [ -n "$token_file" ]; then read_token; fi

  work=$(mktemp -d) || fail 'no temporary directory can be made' 'free space in /tmp, or set TMPDIR'
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  choose_package
  if [ -n "$dry_run" ]; then
    tell_plan
    return
  fi
  say "downloading $package"
  download "$package"
  [ "$(digest_of "$work/$package")" = "$package_sha256" ] || fail \
    "$package is not what the server's list says (SHA-256)" \
    'try again; if it happens again, somebody alters the download: ask the administrator of the server'
  install_package
  if [ -n "$root" ]; then
    say "installed into $root; enrol and start it on the host itself"
    return
  fi
  if [ -n "$token" ]; then
    enrol
    start
  elif [ -e $IDENTITY ]; then
    say 'up to date; identity and isolation are as they were'
  else
    say 'installed; enrol this host with the command from the console'
  fi
  say "to remove it: $(removal)"
}

read_arguments() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --token-file | --format | --root)
        [ $# -ge 2 ] || fail "$1 has no value" 'see the usage at the top of this script'
        case "$1" in
          --token-file) token_file=$2 ;;
          --format) format=$2 ;;
          --root) root=$2 ;;
        esac
        shift
        ;;
      --replace) replace=--replace ;;
      --dry-run) dry_run=yes ;;
      *) fail "there is no option $1" 'use --token-file PATH, --replace, --format deb|rpm|tar, --root DIR or --dry-run' ;;
    esac
    shift
  done
  if [ -n "$root" ]; then
    case "$root" in /*) ;; *) fail "--root $root is not an absolute path" 'write it from / on' ;; esac
    [ -d "$root" ] || fail "--root $root is no directory" 'make it first, or name the image that is meant'
    [ -z "$token_file" ] || fail '--token-file and --root exclude each other' 'enrol each host that is made from the image'
  fi
}

check_host() {
  [ "$(uname -s)" = Linux ] || fail "the agent runs on Linux, this is $(uname -s)" 'run the command on a Linux host'
  if [ -z "$dry_run" ] && [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
    fail 'installing needs root' 'put sudo before sh, or add --dry-run to see what would be done'
  fi
  has curl || has wget || fail 'there is neither curl nor wget' 'install one of them, then run the command again'
  has sha256sum || fail 'there is no sha256sum' 'install the package coreutils, then run the command again'
}

choose_format() {
  case "$format" in
    deb | rpm | tar) return ;;
    '') ;;
    *) fail "--format $format is none of deb, rpm and tar" 'leave it out to have it chosen' ;;
  esac
  # Debian has rpm as a package, so dpkg is asked for first, and only where it manages the system.
  if has dpkg && [ -e "$root/etc/debian_version" ]; then
    format=deb
  elif has rpm && { [ -e "$root/usr/lib/sysimage/rpm" ] || [ -e "$root/var/lib/rpm" ]; }; then
    format=rpm
  else
    format=tar
  fi
}

# The names that the format uses for the same two machines.
choose_architecture() {
  machine=$(uname -m)
  case "$machine" in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no agent for the architecture $machine" 'supported are x86_64 and aarch64' ;;
  esac
  arch=$machine
  if [ "$format" = deb ]; then
    if [ "$machine" = x86_64 ]; then arch=amd64; else arch=arm64; fi
  fi
}

read_token() {
  if [ "$token_file" = - ]; then
    ! [ -t 0 ] || say 'paste the enrol string from the console, then press Enter and Ctrl-D'
    token=$(cat)
  else
    [ -r "$token_file" ] || fail "--token-file $token_file cannot be read" 'check the path, and who may read it'
    token=$(cat "$token_file")
  fi
  case "$token" in
    vxe1.*) ;;
    *) fail 'there is no enrol string in --token-file' 'copy the whole command from the console; the string begins with vxe1.' ;;
  esac
}

choose_package() {
  download SHA256SUMS
  [ "$(digest_of "$work/SHA256SUMS")" = "$SUMS_SHA256" ] || fail \
    "the server's list of packages is not the one that this installer was made for (SHA-256)" \
    'the packages have just been replaced: copy a new command from the console; if it happens again, somebody alters the download'
  package='' package_sha256=''
  while read -r sum file; do
    case "$format:$file" in
      deb:"$NAME"_*_"$arch".deb | rpm:"$NAME"-*."$arch".rpm | tar:"$NAME"-*-"$arch".tar.gz)
        package=$file package_sha256=$sum
        ;;
    esac
  done <"$work/SHA256SUMS"
  [ -n "$package" ] || fail \
    "the server has no $format package for $arch" \
    "ask its administrator to put one into --packages-dir (make package builds them), or try --format tar"
}

tell_plan() {
  say "would install $package (SHA-256 $package_sha256) from $URL"
  if [ -n "$root" ]; then say "  into the image at $root"; fi
  if has $NAME; then say "  over $($NAME --version 2>/dev/null </dev/null || echo "a $NAME that does not run"), keeping its identity and isolation"; fi
  if [ -n "$token_file" ]; then
    if [ -e $IDENTITY ] && [ -z "$replace" ]; then
      say '  this host is enrolled already: the enrol string would not be used'
    else
      say "  then enrol this host and start $NAME"
    fi
  fi
  say 'nothing was changed'
}

install_package() {
  say "installing $package"
  case "$format" in
    deb) dpkg ${root:+"--root=$root"} --install "$work/$package" </dev/null || not_installed ;;
    rpm) rpm ${root:+"--root=$root"} --upgrade --replacepkgs --oldpackage "$work/$package" </dev/null || not_installed ;;
    tar) install_files ;;
  esac
}

install_files() {
  when=first
  ! [ -e "$root/usr/bin/$NAME" ] || when=upgrade
  tar -xzf "$work/$package" -C "$work" || not_installed
  while read -r file; do
    mkdir -p "$root/${file%/*}" || not_installed
    # A running file cannot be written over; its name can be given to another.
    cp -p "$work/$file" "$root/$file.new" || not_installed
    mv -f "$root/$file.new" "$root/$file" || not_installed
  done <"$work/usr/lib/$NAME/files"
  if [ -z "$root" ]; then /usr/lib/$NAME/setup installed $when </dev/null || not_installed; fi
}

not_installed() { fail "$package could not be installed" 'the lines above say why; nothing was enrolled'; }

enrol() {
  if [ -e $IDENTITY ] && [ -z "$replace" ]; then
    say 'this host is enrolled already; its identity is kept (add --replace for a new one)'
    return
  fi
  # An agent that runs holds the identity that is to be replaced.
  if [ -n "$replace" ] && is_booted; then systemctl stop $NAME.service </dev/null || true; fi
  # printf is the shell's own: the string appears in no process list.
  # shellcheck disable=SC2086
  if printf %s "$token" | $NAME enroll --token-file - $replace; then return; fi
  if [ -e $IDENTITY ]; then
    if is_booted; then systemctl start $NAME.service </dev/null || true; fi
    fail 'this host was not enrolled again; its identity is as it was' 'the lines above say why; run the command again when it is mended'
  fi
  fail 'the agent is installed, and this host is not enrolled' 'the lines above say why; run the command again when it is mended'
}

start() {
  if ! is_booted; then
    say "there is no systemd here: start '$NAME executor' and '$NAME run' by your own means"
    return
  fi
  systemctl enable --now $NAME-isolation.service $NAME-executor.service $NAME.service </dev/null || fail \
    "$NAME does not start" "journalctl -u $NAME -u $NAME-executor -n 50 says why"
  say "$NAME runs; look at it with: $NAME status"
}

removal() {
  case $format in
    deb) echo "apt-get remove $NAME (keeps the identity), or apt-get purge $NAME" ;;
    rpm) echo "rpm --erase $NAME (keeps the identity in /var/lib/$NAME)" ;;
    tar) echo "/usr/lib/$NAME/setup uninstall (keeps the identity; --purge deletes it)" ;;
  esac
}

# download FILE: from the server's packages into the working directory.
download() {
  if has curl; then
    curl --fail --silent --show-error --proto '=http,https' --connect-timeout 20 --max-time 600 \
      --output "$work/$1" "$URL/packages/$1" </dev/null
  else
    wget -q -T 60 -O "$work/$1" "$URL/packages/$1" </dev/null
  fi || fail "$URL/packages/$1 cannot be downloaded" \
    "this host must reach $URL: check name, network and proxy; a certificate of a private authority must be trusted by this host"
}

digest_of() { sha256sum "$1" | cut -d ' ' -f 1; }

is_booted() { has systemctl && [ -d /run/systemd/system ]; }

has() { command -v "$1" >/dev/null 2>&1; }

say() { printf 'voltaxe: %s\n' "$*"; }

fail() {
  printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
  exit 1
}

{ main "$@"; }

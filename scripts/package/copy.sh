#!/bin/sh
# Runs a script in a copy of this machine's root, of which nothing is left afterwards. Called in namespaces of its own.
# usage: copy.sh SCRIPT ARGUMENT..
set -eu
script=$(readlink -f "$1")
shift
copy=$(mktemp -d)
mount -t tmpfs tmpfs "$copy"
mkdir "$copy/upper" "$copy/work" "$copy/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$copy/upper,workdir=$copy/work" "$copy/root"
# The lower layer shows what other file systems are mounted over; a script and a package may lie on one.
for path in "$script" "$@"; do
  [ -f "$path" ] || continue
  mkdir -p "$copy/root/run/voltaxe-test"
  cp "$path" "$copy/root/run/voltaxe-test/"
done
mount -t proc proc "$copy/root/proc"
mount --rbind /dev "$copy/root/dev"
# A package must not believe that systemd runs here.
rm -rf "$copy/root/run/systemd/system" "$copy/root/usr/bin/voltaxe-sentinel" "$copy"/root/var/lib/voltaxe-sentinel* "$copy/root/etc/voltaxe"
ip link set lo up
arguments=''
for path in "$@"; do arguments="$arguments /run/voltaxe-test/${path##*/}"; done
status=0
# shellcheck disable=SC2086
chroot "$copy/root" /bin/sh "/run/voltaxe-test/${script##*/}" $arguments || status=$?
umount -l "$copy/root" "$copy" || true
rmdir "$copy" 2>/dev/null || true
exit $status

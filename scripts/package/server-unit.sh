#!/bin/sh
# Boots a copy of this machine's root with the server's unit, and waits for the server with its own Postgres in the sandbox.
# With packages it then runs the line that the enrol page shows there, until the server lists the agent as connected.
# Called in mount and process namespaces of its own, with which everything ends.
# usage: server-unit.sh SERVER UNIT SYSUSERS [PACKAGES]
set -eu
copy=$(mktemp -d)
trap 'umount -l "$copy"; rmdir "$copy"' EXIT
mount -t tmpfs tmpfs "$copy"
mkdir "$copy/upper" "$copy/work" "$copy/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$copy/upper,workdir=$copy/work" "$copy/root"
root=$copy/root
# systemd-nspawn leaves its directories behind, and does not remove any that lie on a disk.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn

rm -rf "$root/etc/systemd/system" "$root/var/lib/voltaxe"
mkdir -p "$root/etc/systemd/system" "$root/etc/voltaxe"
install -m 755 "$1" "$root/usr/bin/voltaxe-server"
install -m 644 "$2" "$root/usr/lib/systemd/system/voltaxe-server.service"
install -D -m 644 "$3" "$root/usr/lib/sysusers.d/voltaxe-server.conf"
: >"$root/etc/voltaxe/server.toml"
if [ -n "${4:-}" ]; then
  cp -r "$4" "$root/srv/packages"
  chmod -R a+rX "$root/srv/packages"
  echo 'packages_dir = "/srv/packages"' >"$root/etc/voltaxe/server.toml"
fi
rm -rf "$root"/var/lib/voltaxe-sentinel* "$root/usr/bin/voltaxe-sentinel"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
printf '[Unit]\nRequires=basic.target voltaxe-server.service\nAfter=basic.target\n' >"$root/etc/systemd/system/voltaxe-test.target"
chroot "$root" systemd-sysusers voltaxe-server.conf

systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --private-network --directory "$root" \
  --machine="voltaxe-server-$$" systemd.unit=voltaxe-test.target >"$copy/console" 2>&1 </dev/null &
nspawn=$!
inside() { nsenter --target "$init" --mount --uts --ipc --pid --net -- "$@"; }

# until_true COMMAND..: for 90 s.
until_true() {
  tries=450
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.2
  done
}
has_init() {
  init=$(tr -d ' ' <"/proc/$nspawn/task/$nspawn/children")
  [ -n "$init" ] && [ "$(cat "/proc/$init/comm")" = systemd ]
}

until_true has_init
if ! until_true inside curl -fsS http://127.0.0.1:8080/readyz; then
  cat "$copy/console"
  inside systemctl status --no-pager --lines 30 voltaxe-server || true
  exit 1
fi

# As the page writes it; nobody needs sudo here.
install_agent() {
  digest=$(inside curl -fsS $url/install.sh | sha256sum | cut -d ' ' -f 1)
  admin enrolment-token | inside sh -c "f=\$(mktemp) && trap \"rm -f \$f\" EXIT && { curl -fsS $url/install.sh || \
    wget -qO- $url/install.sh; } >\$f && echo \"$digest  \$f\" | sha256sum -c && sh \$f --token-file -"
}
admin() { inside runuser -u voltaxe -- env VOLTAXE_STATE_DIR=/var/lib/voltaxe voltaxe-server admin "$@"; }
# The agent has said so itself.
has_reported() { admin list-endpoints | grep -q 'not isolated'; }
url=http://127.0.0.1:8080
if [ -n "${4:-}" ]; then
  install_agent
  if ! until_true has_reported; then
    admin list-endpoints
    inside journalctl --no-pager --lines 30 --unit 'voltaxe-sentinel*'
    exit 1
  fi
  admin list-endpoints
  # What was installed can be upgraded by the same line, and be removed.
  install_agent
  inside dpkg --purge voltaxe-sentinel
  inside sh -c '[ ! -e /usr/bin/voltaxe-sentinel ] && [ ! -e /var/lib/voltaxe-sentinel ]'
fi
inside systemctl stop voltaxe-server
inside systemctl show --property Result,ExecMainStatus voltaxe-server
[ "$(inside systemctl show --value --property Result voltaxe-server)" = success ]

#!/bin/sh
# A deb's whole life on a machine where systemd does not run.
# usage: deb.sh PACKAGE
set -eu
deb=$1
identity=/var/lib/voltaxe-sentinel/identity.json
wants=/etc/systemd/system/multi-user.target.wants/voltaxe-sentinel.service

status_is() {
  state=$(dpkg-query -W -f '${db:Status-Status}' voltaxe-sentinel 2>/dev/null || echo not-installed)
  [ "$state" = "$1" ] || {
    echo "the package is $state, expected $1"
    exit 1
  }
}

dpkg --install "$deb"
status_is installed
voltaxe-sentinel --version
test -x /usr/bin/voltaxe-sentinel && test -L $wants
systemd-analyze verify --man=no /usr/lib/systemd/system/voltaxe-sentinel*.service
echo identity >$identity

dpkg --install "$deb"
[ "$(cat $identity)" = identity ]

# Nothing isolates this copy, and the agent itself says so.
/usr/lib/voltaxe-sentinel/setup may-remove

# From here on the agent says what the test wants it to.
cat >/usr/bin/voltaxe-sentinel <<'END'
#!/bin/sh
test ! -e /run/voltaxe-test/isolated || { [ "$3" = --restore ] && rm /run/voltaxe-test/isolated; }
END
touch /run/voltaxe-test/isolated
if dpkg --remove voltaxe-sentinel; then
  echo 'the package of an isolated host was removed'
  exit 1
fi
status_is installed
test -x /usr/bin/voltaxe-sentinel && test -L $wants

VOLTAXE_RESTORE=1 dpkg --remove voltaxe-sentinel
status_is config-files
[ ! -e /usr/bin/voltaxe-sentinel ] && [ ! -L $wants ] && [ "$(cat $identity)" = identity ]

dpkg --install "$deb"
status_is installed
test -L $wants && [ "$(cat $identity)" = identity ]

printf '#!/bin/sh\n' >/usr/bin/voltaxe-sentinel
dpkg --purge voltaxe-sentinel
status_is not-installed
[ ! -e /var/lib/voltaxe-sentinel ] && [ ! -e /var/lib/voltaxe-sentinel-executor ] && [ ! -e /etc/voltaxe ]

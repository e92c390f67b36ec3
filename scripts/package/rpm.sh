#!/bin/sh
# An rpm's whole life on a machine where systemd does not run. Without dependencies: this machine's database has no packages.
# usage: rpm.sh PACKAGE
set -eu
package=$1
identity=/var/lib/voltaxe-sentinel/identity.json
wants=/etc/systemd/system/multi-user.target.wants/voltaxe-sentinel.service
put() { rpm --upgrade --replacepkgs --oldpackage --nodeps "$package"; }

mkdir -p /var/lib/rpm
rpm --initdb
put
rpm --query voltaxe-sentinel
voltaxe-sentinel --version
test -L $wants
echo identity >$identity
put
[ "$(cat $identity)" = identity ] && test -L $wants

# From here on the agent says what the test wants it to.
cat >/usr/bin/voltaxe-sentinel <<'END'
#!/bin/sh
test ! -e /run/voltaxe-test/isolated || { [ "$3" = --restore ] && rm /run/voltaxe-test/isolated; }
END
touch /run/voltaxe-test/isolated
if rpm --erase voltaxe-sentinel; then
  echo 'the package of an isolated host was removed'
  exit 1
fi
rpm --query voltaxe-sentinel
test -x /usr/bin/voltaxe-sentinel && test -L $wants

VOLTAXE_RESTORE=1 rpm --erase voltaxe-sentinel
[ ! -e /usr/bin/voltaxe-sentinel ] && [ ! -L $wants ] && [ "$(cat $identity)" = identity ]
put
test -L $wants && [ "$(cat $identity)" = identity ]

#!/bin/sh
# What setup.sh does at each turn of a package's life, with stand-ins for systemd and the agent.
# usage: lifecycle.sh SETUP SYSUSERS
set -eu
calls=/run/voltaxe-test/calls
state=/var/lib/voltaxe-sentinel
executor=/var/lib/voltaxe-sentinel-executor
config=/etc/voltaxe/agent.conf

# stand_in PATH: a program that notes its call and then does what standard input says.
stand_in() {
  {
    echo '#!/bin/sh'
    echo "echo \"${1##*/} \$*\" >>$calls"
    cat
  } >"$1"
  chmod 755 "$1"
}

expect() {
  grep -q -- "$1" $calls || {
    echo "expected a call of: $1; there were:"
    cat $calls
    exit 1
  }
}

never() {
  if grep -q -- "$1" $calls; then
    echo "did not expect: $1; there were:"
    cat $calls
    exit 1
  fi
}

owned() {
  [ "$(stat -c '%U:%G %a' "$1")" = "$2" ] || {
    echo "$1 is $(stat -c '%U:%G %a' "$1"), expected $2"
    exit 1
  }
}

as_booted() {
  : >$calls
  "$@"
}

install -D -m 644 "$2" /usr/lib/sysusers.d/voltaxe-sentinel.conf
install -D -m 755 "$1" /usr/lib/voltaxe-sentinel/setup
setup=/usr/lib/voltaxe-sentinel/setup
mkdir -p /run/systemd/system
PATH=/run/voltaxe-test/bin:$PATH
mkdir -p /run/voltaxe-test/bin
stand_in /run/voltaxe-test/bin/systemctl </dev/null
stand_in /usr/bin/voltaxe-sentinel <<'END'
test ! -e /run/voltaxe-test/isolated || { [ "$3" = --restore ] && rm /run/voltaxe-test/isolated; }
END

as_booted $setup installed first
expect 'systemctl enable .*isolation.service .*executor.service voltaxe-sentinel.service'
expect 'systemctl start voltaxe-sentinel-executor.service voltaxe-sentinel.service'
owned $state 'voltaxe-sentinel:voltaxe-sentinel 700'
owned $executor 'root:voltaxe-sentinel 710'
owned /run/voltaxe-sentinel 'root:voltaxe-sentinel 750'
grep -q '^executor_socket = /run/voltaxe-sentinel/executor.sock$' $config
never adopt
echo identity >$state/identity.json

as_booted $setup installed upgrade
expect 'systemctl try-restart'
never 'enable'
never 'systemctl stop'
expect 'voltaxe-sentinel executor --adopt'

printf '[server]\napi_url = http://a:1\n[agent]\nlog_level = info\n' >$config
as_booted $setup installed upgrade
[ "$(grep -A 1 '^.agent.$' $config | tail -n 1)" = 'executor_socket = /run/voltaxe-sentinel/executor.sock' ]
cp $config $config.before
as_booted $setup installed upgrade
cmp $config $config.before && rm $config.before

touch /run/voltaxe-test/isolated
if as_booted $setup may-remove 2>/run/voltaxe-test/said; then
  echo 'an isolated host could be left without its agent'
  exit 1
fi
grep -q 'VOLTAXE_RESTORE=1' /run/voltaxe-test/said
never 'restore'
as_booted env VOLTAXE_RESTORE=1 $setup may-remove
expect 'voltaxe-sentinel isolation assert-released --restore'
[ ! -e /run/voltaxe-test/isolated ]
as_booted $setup may-remove

as_booted $setup stop
expect 'systemctl stop voltaxe-sentinel.service'
expect 'systemctl disable'
[ "$(cat $state/identity.json)" = identity ]
# What a package manager calls an upgrade may be an installation after a removal.
as_booted $setup installed upgrade
expect 'systemctl enable'
as_booted $setup installed upgrade
never 'enable'

as_booted $setup purge
[ ! -e $state ] && [ ! -e $executor ] && [ ! -e /etc/voltaxe ]

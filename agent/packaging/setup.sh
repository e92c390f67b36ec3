#!/bin/sh
# What must happen around the agent's files; installed as /usr/lib/voltaxe-sentinel/setup and called by every kind of package.
# usage: setup installed first|upgrade   users and directories, units enabled (first) or started anew (upgrade)
#        setup may-remove                ends with 1 while this host is isolated; VOLTAXE_RESTORE=1 releases it
#        setup stop                      stops and disables the units
#        setup purge                     deletes identity, state and configuration
#        setup uninstall [--purge]       all of these, and the files: for hosts without a package manager
# Isolation is held by the kernel, so stopping and starting the agent leaves it as it is.
set -eu

AGENT=/usr/bin/voltaxe-sentinel
CONFIG=/etc/voltaxe/agent.conf
LIBRARY=/usr/lib/voltaxe-sentinel
# Left by a removal, which keeps the state: what comes back then is switched on again, whatever a package manager calls it.
REMOVED=/var/lib/voltaxe-sentinel-executor/removed
UNITS='voltaxe-sentinel-isolation.service voltaxe-sentinel-executor.service voltaxe-sentinel.service'

main() {
  case "${1:-}" in
    installed) installed "${2:-first}" ;;
    may-remove) may_remove ;;
    stop) stop ;;
    purge) purge ;;
    uninstall)
      may_remove
      stop
      if [ "${2:-}" = --purge ]; then purge; fi
      remove_files
      ;;
    *)
      echo 'usage: setup installed first|upgrade | may-remove | stop | purge | uninstall [--purge]' >&2
      exit 2
      ;;
  esac
}

installed() {
  make_user
  make_directories
  configure
  when=$1
  if [ -e "$REMOVED" ]; then
    when=first
    rm -f "$REMOVED"
  fi
  if ! has systemctl; then
    echo "voltaxe-sentinel: there is no systemd here; start 'voltaxe-sentinel executor' and 'voltaxe-sentinel run' by your own means"
    return
  fi
  reload
  # An administrator who switched a unit off wants it off after an upgrade, too.
  # shellcheck disable=SC2086
  if [ "$when" = first ]; then systemctl enable $UNITS >/dev/null 2>&1 || true; fi
  if ! is_booted; then return; fi
  # The executor first: the other process speaks to it.
  if [ "$when" = first ]; then
    systemctl start voltaxe-sentinel-executor.service voltaxe-sentinel.service || true
  else
    systemctl try-restart voltaxe-sentinel-executor.service voltaxe-sentinel.service || true
  fi
}

make_user() {
  if has systemd-sysusers; then
    systemd-sysusers voltaxe-sentinel.conf
  elif ! getent passwd voltaxe-sentinel >/dev/null 2>&1; then
    useradd --system --user-group --home-dir /var/lib/voltaxe-sentinel --no-create-home --shell /usr/sbin/nologin voltaxe-sentinel
  fi
}

make_directories() {
  install -d -m 0755 /etc/voltaxe
  install -d -m 0700 -o voltaxe-sentinel -g voltaxe-sentinel /var/lib/voltaxe-sentinel
  install -d -m 0710 -o root -g voltaxe-sentinel /var/lib/voltaxe-sentinel-executor
  if [ -d /run ]; then install -d -m 0750 -o root -g voltaxe-sentinel /run/voltaxe-sentinel; fi
}

# The units run the agent as two processes, so its configuration must name the socket between them. Enrolment adds the server.
configure() {
  if ! [ -e $CONFIG ]; then
    cat >$CONFIG <<'END'
# Voltaxe Sentinel agent. Every key is described in /usr/share/doc/voltaxe-sentinel/agent.conf.example

[agent]
executor_socket = /run/voltaxe-sentinel/executor.sock
END
    chmod 0644 $CONFIG
  elif ! grep -q '^ *executor_socket *=' $CONFIG; then
    echo "voltaxe-sentinel: adding executor_socket to $CONFIG: from now on the agent is two processes"
    if grep -q '^ *\[agent\]' $CONFIG; then
      sed -i 's|^ *\[agent\].*|&\nexecutor_socket = /run/voltaxe-sentinel/executor.sock|' $CONFIG
    else
      printf '\n[agent]\nexecutor_socket = /run/voltaxe-sentinel/executor.sock\n' >>$CONFIG
    fi
  fi
  # What an agent of one process has left is divided between the two.
  if [ -e /var/lib/voltaxe-sentinel/identity.json ]; then
    $AGENT executor --adopt || echo "voltaxe-sentinel: the enrolment of this host could not be taken over; the line above says why" >&2
  fi
}

may_remove() {
  if [ "${VOLTAXE_RESTORE:-}" = 1 ]; then
    $AGENT isolation assert-released --restore
    return
  fi
  if $AGENT isolation assert-released; then return; fi
  cat >&2 <<'END'
error: voltaxe-sentinel is not removed: this host is isolated, or that cannot be told. Without the agent nobody could release it.
  fix: release it on the console, or with a ticket: voltaxe-sentinel isolation release --ticket-file FILE
       or release and remove it at once: set VOLTAXE_RESTORE=1, for example
         sudo VOLTAXE_RESTORE=1 apt-get remove voltaxe-sentinel
         sudo VOLTAXE_RESTORE=1 dnf remove voltaxe-sentinel
END
  exit 1
}

stop() {
  if ! has systemctl; then return; fi
  if is_booted; then systemctl stop voltaxe-sentinel.service voltaxe-sentinel-executor.service || true; fi
  # shellcheck disable=SC2086
  systemctl disable $UNITS >/dev/null 2>&1 || true
  # A state directory that is gone is no reason to keep the package.
  touch "$REMOVED" || true
}

purge() {
  rm -rf /var/lib/voltaxe-sentinel /var/lib/voltaxe-sentinel-executor /run/voltaxe-sentinel
  rm -f $CONFIG
  rmdir /etc/voltaxe 2>/dev/null || true
}

remove_files() {
  if ! [ -f "$LIBRARY/files" ]; then
    echo 'error: a package manager owns the files; remove the package voltaxe-sentinel with it' >&2
    exit 1
  fi
  while read -r file; do rm -f "/$file"; done <"$LIBRARY/files"
  rm -f "$LIBRARY/files"
  rmdir "$LIBRARY" /usr/share/doc/voltaxe-sentinel 2>/dev/null || true
  if has systemctl; then reload; fi
}

has() { command -v "$1" >/dev/null 2>&1; }

is_booted() { [ -d /run/systemd/system ]; }

reload() { if is_booted; then systemctl daemon-reload || true; fi; }

main "$@"

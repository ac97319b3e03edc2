#!/bin/sh
# Stands in for systemd: records what it is told in `calls`, and keeps what is enabled, loaded and active, each by its text.
# What `last-start` has is its word on the last start of the agent.
# Usage: systemctl.sh VERB [-p PROPERTY --value] [--] UNIT, as systemctl.
set -eu
state=/run/stand-in-systemd
mkdir -p "$state/enabled" "$state/loaded" "$state/active"
echo "$*" >>"$state/calls"
verb=$1
property=''
for word; do
  case $word in LoadState | NeedDaemonReload | ExecStart) property=$word ;; esac
  unit=$word
done
file="/etc/systemd/system/$unit"
load() {
  [ -e "$state/loaded/$unit" ] || [ ! -e "$file" ] || cp "$file" "$state/loaded/$unit"
}
must_be_there() {
  [ -e "$file" ] || { echo "Unit file $unit does not exist." >&2; exit 5; }
}
case $verb in
  show)
    load
    if [ "$property" = ExecStart ]; then
      cat "$state/last-start" 2>/dev/null || true
    elif [ "$property" = LoadState ]; then
      [ -e "$state/loaded/$unit" ] && echo loaded || echo not-found
    else
      [ ! -e "$state/loaded/$unit" ] || cmp -s "$file" "$state/loaded/$unit" && echo no || echo yes
    fi ;;
  is-active) [ -e "$state/active/$unit" ] && echo active || { echo inactive; exit 3; } ;;
  is-enabled) [ -e "$state/enabled/$unit" ] && echo enabled || { echo disabled; exit 1; } ;;
  enable) must_be_there; : >"$state/enabled/$unit" ;;
  disable) rm -f "$state/enabled/$unit" ;;
  daemon-reload) rm -f "$state/loaded/"* ;;
  start) must_be_there; load; cp "$state/loaded/$unit" "$state/active/$unit" ;;
  stop) rm -f "$state/active/$unit" ;;
  reset-failed) ;;
  *) echo "systemctl.sh: unknown verb $verb" >&2; exit 1 ;;
esac

#!/bin/sh
# Stands in for `puppet agent --disable MESSAGE` and `--enable`: STATE_DIRECTORY/agent_disabled.lock, as Puppet writes it.
# Usage: puppet-agent.sh agent --disable MESSAGE (the state directory is where this script was copied to).
lock="$(dirname "$0")/agent_disabled.lock"
case "$2" in
  --disable) [ -e "$lock" ] || printf '{"disabled_message":"%s"}' "$3" > "$lock" ;;
  --enable) rm -f "$lock" ;;
  *) exit 1 ;;
esac

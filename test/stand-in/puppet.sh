#!/bin/sh
# Stands in for puppet on a master of its own: `config print SETTING`, `agent --disable MESSAGE` and `agent --enable`.
state=/opt/puppetlabs/puppet/cache/state
lock="$state/agent_disabled.lock"
case "$1 $2" in
  'config print')
    case $3 in
      certname) echo masterb.test ;;
      cadir) echo /etc/puppetlabs/puppetserver/ca ;;
      statedir) echo "$state" ;;
      environmentpath) echo /etc/puppetlabs/code/environments ;;
      *) exit 1 ;;
    esac ;;
  'agent --disable') mkdir -p "$state"; [ -e "$lock" ] || printf '{"disabled_message":"%s"}' "$3" >"$lock" ;;
  'agent --enable') rm -f "$lock" ;;
  *) exit 1 ;;
esac

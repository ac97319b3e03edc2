# A machine of its own: an overlay of / in private namespaces, on a tmpfs at $1. The checkout $2 is /opt/pe_failover there.
# What is written to / lies below /run/written. Says `ready`, and lives until its standard input ends.
set -eu
base=$1
checkout=$2
root="$base/root"
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$base"
mkdir "$base/written" "$base/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/written,workdir=$base/work" "$root"
mount -t proc proc "$root/proc"
for place in run tmp dev; do mount -t tmpfs -o mode=0755 tmpfs "$root/$place"; done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
rm -rf "$root/etc/puppetlabs" "$root/etc/puppet" "$root/opt/puppetlabs" "$root/var/lib/pe_failover" \
  "$root/var/log/puppetlabs" "$root/home/pe-transfer" "$root/etc/systemd/system/pe-failover"*
mkdir -p "$root/run/written" "$root/run/sshd" "$root/opt/pe_failover" "$root/etc/puppetlabs/puppet"
mount --bind "$base/written" "$root/run/written"
mount --bind "$checkout" "$root/opt/pe_failover"
mount -o remount,ro,bind "$root/opt/pe_failover"
cp "$checkout/test/stand-in/systemctl.sh" "$root/usr/local/sbin/systemctl"
cp "$checkout/test/stand-in/puppet.sh" "$root/usr/local/bin/puppet"
ln -s /opt/pe_failover/bin/pe-failover "$root/usr/local/sbin/pe-failover"
chroot "$root" sh -c 'ssh-keygen -A >/dev/null; ! id pe-transfer >/dev/null 2>&1 || userdel pe-transfer'
cd /
exec chroot "$root" sh -c 'cd /; echo ready; exec cat'

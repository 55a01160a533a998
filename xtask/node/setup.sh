#!/bin/sh
# Runs in the new node's tree, once, while the image is built.
set -eu

cp -r /node/files/. /
chmod 755 /usr/local/bin/linger-node-*
for part in users services slurm busybox initrd uml; do
    sh -eu "/node/setup-$part.sh"
done

# systemd makes a new id on each boot; "uninitialized" would mean first boot and presets.
: >/etc/machine-id
ln -sf /etc/machine-id /var/lib/dbus/machine-id
rm -f /etc/hostname /etc/resolv.conf
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*

# Newer than /usr: nothing for ldconfig, the journal catalog and the like to do at boot.
touch /etc/.updated /var/.updated

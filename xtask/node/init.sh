#!/bin/busybox sh
# PID 1 of the initrd: disk, network, and the few things that tell one node from the other.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

option() { sed -n "s/.*\blinger\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }

if [ -n "$(option probe)" ]; then
    echo "linger: this accelerator runs a guest"
    reboot -f
fi

while read -r module; do insmod "/modules/$module"; done </modules/order

number=$(option number)
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
cluster=lo
[ -e /sys/class/net/eth1 ] && cluster=eth1 && ip link set eth1 up
ip addr add "10.77.0.$number/24" dev "$cluster"

mount -t ext4 -o rw,noatime /dev/vda /newroot || exec sh
if [ "$(option nodes)" = 2 ]; then
    sed -i 's/^NodeName=n1 /NodeName=n[1-2] /' /newroot/etc/slurm/slurm.conf
fi
mount --move /dev /newroot/dev
umount /sys /proc
exec switch_root /newroot /sbin/init

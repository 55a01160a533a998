#!/bin/busybox sh
# PID 1 of the initrd: disk, network, and the few things that tell one node from the other.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

option() { sed -n "s/.*\blinger\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }

# User-mode Linux has its disk and its card built in, which have names of their own.
is_process() { grep -q 'User Mode Linux' /proc/cpuinfo; }

if [ -n "$(option probe)" ]; then
    echo "linger: this accelerator runs a guest"
    is_process && poweroff -f
    reboot -f
fi

disk=/dev/vda
if is_process; then
    disk=/dev/ubda
    ip link set vec0 name eth0
else
    while read -r module; do insmod "/modules/$module"; done </modules/order
fi

number=$(option number)
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
cluster=lo
[ -e /sys/class/net/eth1 ] && cluster=eth1 && ip link set eth1 up
ip addr add "10.77.0.$number/24" dev "$cluster"

mount -t ext4 -o rw,noatime $disk /newroot || exec sh
if [ "$(option nodes)" = 2 ]; then
    sed -i 's/^NodeName=n1 /NodeName=n[1-2] /' /newroot/etc/slurm/slurm.conf
fi
# One CPU, which Slurm is to take for two; no cpuset controller, and none of the consoles that are the node's
# GRES: two terminals of BSD's kind stand in.
if is_process; then
    sed -i -e 's|=task/affinity$|=task/none|' -e 's|,task/affinity$||' /newroot/etc/slurm/slurm.conf
    echo SlurmdParameters=config_overrides >>/newroot/etc/slurm/slurm.conf
    sed -i 's/^ConstrainCores=yes/ConstrainCores=no/' /newroot/etc/slurm/cgroup.conf
    for tty in 60 61; do mknod -m 666 "/dev/tty$tty" c 2 "$tty"; done
fi
mount --move /dev /newroot/dev
umount /sys /proc
exec switch_root /newroot /sbin/init

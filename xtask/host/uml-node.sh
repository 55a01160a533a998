#!/bin/sh
# Becomes a node that is a process, in the namespaces that unshare has made for it:
# uml-node.sh MARK ROOT CORE ARGUMENT… The mark is for those who look for it.
set -eu
root=$2 core=$3
shift 3

# A packet socket on one end of the pair is the node's card; the other is the way to it.
ip link set lo up
ip link add host type veth peer name node
ip addr add 10.0.2.2/24 dev host
ip link set host up
ip link set node up promisc on

mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
# Its kernel and its processes are processes of the host that wait for one another at each system call:
# on one core that takes a third of the time. Where it lies decides how much memory it has, and so what systemd
# allows in tasks: the same after each boot.
exec taskset --cpu-list "$core" setarch --addr-no-randomize chroot "$root" /linux.uml "$@"

#!/bin/bash
# Installs the .rpm over this machine's files, in a mount namespace that forgets all of it, and has
# a made-up Slurm of EL come, change and go: rpm-root.sh PACKAGE. Exits with 77 where that cannot be.
set -eu
package=$1
if [ $# = 1 ]; then
    top=$(mktemp -d)
    trap 'rmdir "$top"' EXIT
    apart=(unshare --mount --propagation=private)
    [ "$(id -u)" = 0 ] || apart+=(--map-root-user)
    "${apart[@]}" true || exit 77
    [ ! -e /usr/sbin/slurmd ] || { echo "this machine has a Slurm" >&2; exit 77; }
    "${apart[@]}" "$0" "$package" "$top"
    exit
fi

top=$2
{
    mount -t tmpfs tmpfs "$top"
    mkdir "$top/upper" "$top/work" "$top/root"
    mount -t overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" overlay "$top/root"
    mount --rbind /dev "$top/root/dev"
} || exit 77
root=$top/root
link=$root/usr/lib64/slurm/spank_linger.so
# Debian's rpm asks to be sure.
rpm() { command rpm --force-debian --root "$root" --dbpath /var/lib/rpm-root "$@" --nodeps; }
command rpm --root "$root" --dbpath /var/lib/rpm-root --initdb

slurm() {
    mkdir -p "$top/$1/usr/sbin" "$top/$1/usr/lib64/slurm"
    printf '#!/bin/sh\necho slurm %s\n' "$1" >"$top/$1/usr/sbin/slurmd"
    chmod 755 "$top/$1/usr/sbin/slurmd"
    touch "$top/$1/usr/lib64/slurm/auth_munge.so"
    printf '%s\n' 'Name: slurm-slurmd' "Version: $1" 'Release: 1' 'Summary: none' 'License: none' \
        '%description' '%install' "cp -a $top/$1/. %{buildroot}" \
        '%files' /usr/sbin/slurmd /usr/lib64/slurm/auth_munge.so >"$top/$1.spec"
    rpmbuild -bb --quiet --define "_topdir $top/build" --define "_rpmdir $top" \
        --define "_rpmfilename $1.rpm" "$top/$1.spec"
}

says() {
    [ "$(readlink "$link")" = "$1" ] || { echo "$2: $link leads to '$(readlink "$link")'"; exit 1; }
}

slurm 24.11.5
slurm 25.05.1
plugins=/usr/lib/slurm-spank-linger
rpm -i "$package"
says '' 'without Slurm'
unit=/usr/lib/systemd/system/systemd-logind.service.wants/spank-linger-boot.service
[ -f "$root$unit" ] || { echo "$unit leads nowhere"; exit 1; }
rpm -i "$top/24.11.5.rpm"
says $plugins/24.11/spank_linger.so 'Slurm comes'
rpm -U "$top/25.05.1.rpm"
says $plugins/25.05/spank_linger.so 'Slurm is upgraded'
rpm -U --force "$package"
says $plugins/25.05/spank_linger.so 'the package is upgraded'
rpm -e slurm-slurmd
says '' 'Slurm goes'
rpm -i "$top/25.05.1.rpm"
rpm -e slurm-spank-linger
says '' 'the package goes'
left=$(find "$top/upper" ! -type c ! -path "*/rpm-root*" '(' -path '*linger*' -o -name '*.wants' ')')
[ -z "$left" ] || { echo "left: $left"; exit 1; }

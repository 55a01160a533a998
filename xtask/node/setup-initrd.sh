# Debian's own initrd starts udev, which takes seconds on an emulated CPU; a node needs its
# disk and its network cards.
kernel=$(find /lib/modules -mindepth 1 -maxdepth 1 -printf '%f\n')
tree=$(mktemp -d)
mkdir -p "$tree/bin" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/newroot" "$tree/modules"
cp /bin/busybox "$tree/bin/busybox"
install -m 755 /node/init.sh "$tree/init"

for module in virtio_pci virtio_blk virtio_net ext4; do
    modprobe --set-version "$kernel" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' >"$tree/modules/order"
while read -r path; do
    name=$(basename "$path" .xz)
    case $path in
    *.xz) busybox xzcat "$path" >"$tree/modules/$name" ;;
    *) cp "$path" "$tree/modules/$name" ;;
    esac
done <"$tree/modules/order"
sed -i 's,.*/,,; s,\.xz$,,' "$tree/modules/order"

mkdir -p /out
cp "/boot/vmlinuz-$kernel" /out/kernel
# Not compressed: unpacking costs more than reading.
(cd "$tree" && find . | busybox cpio -o -H newc >/out/initrd 2>/dev/null)
rm -rf "$tree" /boot/initrd.img* /boot/vmlinuz*

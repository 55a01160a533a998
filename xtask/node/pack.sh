# Turns the finished tree, given as the argument, into /out/image.tar in that tree. It runs
# outside the tree, in a mount namespace of its own, so nothing stays mounted.
set -eu
PATH=$PATH:/usr/sbin:/sbin
tree=$1
view=$tree/out/view
rm -rf "$tree/node"
mkdir "$view"

# A plain bind mount leaves out what is mounted in the tree (/proc, /sys, /dev), and the
# tmpfs hides the image from itself.
mount --bind "$tree" "$view"
mount -t tmpfs none "$view/out"
# shellcheck disable=SC2086
mke2fs -q -t ext4 $MKE2FS_OPTIONS -d "$view" "$tree/out/root.ext4" "$IMAGE_SIZE"
umount "$view/out"
umount "$view"

tar -C "$tree/out" -cSf "$tree/out/image.tar" root.ext4 kernel initrd uml
rm "$tree/out/root.ext4"

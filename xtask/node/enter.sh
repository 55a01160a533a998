# Runs setup.sh in the tree given as the argument. Podman refuses to unpack where / is not a
# mount point, as in a plain chroot; the mount ends with the namespace this runs in.
set -eu
mount --rbind "$1" "$1"
exec chroot "$1" sh /node/setup.sh

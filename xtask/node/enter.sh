# Runs setup.sh in the tree given as the argument. Podman refuses to unpack where / is not a
# mount point, as in a plain chroot, and wants shared memory, which a build without root does
# not have; the mounts end with the namespace this runs in.
set -eu
mount --rbind "$1" "$1"
mkdir -p "$1/dev/shm"
mount -t tmpfs none "$1/dev/shm"
exec chroot "$1" sh /node/setup.sh

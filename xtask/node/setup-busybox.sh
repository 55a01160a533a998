# A container image without a registry: a root file system, already in every user's store.
tree=$(mktemp -d)
mkdir -p "$tree/bin" "$tree/etc" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/run" "$tree/root" "$tree/tmp"
chmod 755 "$tree"
chmod 1777 "$tree/tmp"
cp /bin/busybox "$tree/bin/busybox"
for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
echo 'root:x:0:' >"$tree/etc/group"
tar -C "$tree" -cf /usr/local/share/busybox.tar .
rm -rf "$tree"

# Into each user's own store, by root: Podman run as the user would remember its first run
# root, and a shared read-only store would give the container a / that nobody owns.
store=$(mktemp -d)
podman --storage-driver overlay --root "$store" --runroot "$store.run" --log-level error \
    import --quiet --change 'CMD ["/bin/sh"]' /usr/local/share/busybox.tar localhost/busybox:latest
rm -rf "$store.run" "$store/libpod" "$store"/db.sql* /var/lib/containers
for user in alice bob carol dave; do
    containers=/home/$user/.local/share/containers
    mkdir -p "$containers"
    cp -a "$store" "$containers/storage"
    chown -R "$user:$user" "/home/$user/.local"
done
rm -rf "$store"

# Podman 4 as a user falls back to vfs unless it is told of overlay, and vfs would not see the store.
case $(podman --version) in
*' 4.'*) printf '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
    >/etc/containers/storage.conf ;;
esac

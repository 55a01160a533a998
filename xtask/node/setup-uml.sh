# Linux as a process, for a host that could only emulate a machine. Its modules are where a kernel's are; it
# itself, with the C library that it needs, gets a root of its own outside the node.
root=/out/uml
mkdir -p "$root/proc" "$root/dev" "$root/tmp"
mv /usr/bin/linux.uml "$root/linux.uml"
mv /usr/lib/uml/modules/* /lib/modules/
rm -r /usr/lib/uml
# It starts itself anew for a reboot, and for that ends its threads, for which glibc loads libgcc_s.
libgcc=$(find /usr/lib /lib -name libgcc_s.so.1 | head -n1)
{ ldd "$root/linux.uml" | grep --only-matching '/[^ ]*'; echo "$libgcc"; } | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp --dereference "$library" "$root$library"
done
cp /out/initrd "$root/initrd"

# Linux as a process, for a host that could only emulate a machine. Its modules are where a kernel's are; it
# itself, with the C library that it needs, gets a root of its own outside the node.
root=/out/uml
mkdir -p "$root/proc" "$root/dev" "$root/tmp" "$root/state"
mv /usr/bin/linux.uml "$root/linux.uml"
mv /usr/lib/uml/modules/* /lib/modules/
rm -r /usr/lib/uml
ldd "$root/linux.uml" | grep --only-matching '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp --dereference "$library" "$root$library"
done
cp /out/initrd "$root/initrd"

# The demo's job. It says what it measures in lines NAME=VALUE.
first=$(systemctl --user is-system-running --wait 2>&1)
say() { echo "$1=${2//$'\n'/ }"; }
say first "$first"
say job "$SLURM_JOB_ID"
say during "$(look "$UID")"
say runtime_dir "$XDG_RUNTIME_DIR"
[ -d "$XDG_RUNTIME_DIR" ] && say runtime_dir_exists yes
say bus "$DBUS_SESSION_BUS_ADDRESS"
[ -S "${DBUS_SESSION_BUS_ADDRESS#unix:path=}" ] && say bus_exists yes

container=(podman run --rm --network=none --cgroupns=host localhost/busybox cat /proc/self/cgroup)
if ! cgroup=$("${container[@]}" 2>demo.run); then
    say refusal "$(tail -n 1 demo.run)"
    # What somebody does who has met this before.
    unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS
    cgroup=$("${container[@]}" 2>demo.run)
fi
say cgroup "$cgroup"
say manager "$(podman info --format '{{.Host.CgroupManager}}' 2>demo.info)"
grep -h level=warning demo.run demo.info | sed 's/^/warning=/'

# The first memory limit on the way down to a cgroup, and whose it is.
limit() {
    local part limit path=
    while IFS= read -r -d / part; do
        path=$path/$part
        limit=$(cat "/sys/fs/cgroup$path/memory.max" 2>/dev/null)
        case $limit in [0-9]*) echo "$limit $path"; return ;; esac
    done <<<"${1#0::/}/"
    echo none
}
say limit "$(limit "$cgroup")"
podman run --rm --network=none localhost/busybox dd if=/dev/zero of=/dev/null bs="${BIG_MB}M" count=1 2>demo.big
say big $?

podman run --detach --network=none localhost/busybox sleep 300 >/dev/null 2>demo.detached
for _ in 1 2 3 4 5; do
    [ "$(detached "$UID")" = runs ] && break
    sleep 0.2
done
say detached "$(detached "$UID")"
exit 0

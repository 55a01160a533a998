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
exit 0

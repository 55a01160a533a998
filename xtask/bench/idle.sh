# idle.sh SECONDS: what a session costs while its job does nothing in it.
. /opt/linger-bench/common.sh
clean

# The cgroup of the variant's session.
session() {
    case $1 in
    job) ls -d /sys/fs/cgroup/system.slice/*slurmstepd.scope/*/step_extern/user/session ;;
    *) echo "/sys/fs/cgroup/user.slice/user-$(uid "$1").slice" ;;
    esac
}

# All processes that are there for it alone: with session=job also the guard, which is beside the jobs.
processes() {
    find "$(session "$1")" -name cgroup.procs -exec cat {} +
    [ "$1" != job ] || pgrep --exact linger
}

# How often one of them was given a CPU, and for how many us all of them had it.
switches() {
    local pid
    for pid in $(processes "$1"); do cat "/proc/$pid/status"; done 2>/dev/null |
        awk '/ctxt_switches/ { sum += $2 } END { print sum + 0 }'
}
used() { awk '/^usage_usec/ { print $2 }' "$(session "$1")/cpu.stat"; }

for variant in ours job; do
    hold "$variant"
    sleep 30
    before=$(switches $variant) used=$(used $variant)
    sleep "$1"
    sample idle $variant wakes_per_min $((($(switches $variant) - before) * 60 / $1))
    sample idle $variant cpu_us $((($(used $variant) - used) * 60 / $1))
    sample idle $variant memory_bytes "$(cat "$(session $variant)/memory.current")"
    sample idle $variant processes "$(processes $variant | wc -l)"
    clean
done

# steps-here.sh ROUNDS HOST FLOOR OURS, as root: the callbacks of a step, and loading the plugin, on this
# machine. In a mount namespace that has the files of a session, of its slice and of a job, and nothing of
# systemd's: what answers behind them is the node's affair and measured there.
set -euo pipefail
if [ "${1-}" != inside ]; then
    # All on one CPU: Linux 6.18 counts namespaces for each, and has one bound only to a place that is older by count.
    cpu=$(taskset --cpu-list --pid $$ | sed 's/.*: \([0-9]*\).*/\1/')
    exec taskset --cpu-list "$cpu" unshare --mount --propagation private bash "$0" inside "$@"
fi
shift
host=$2
uid=4711 job=42
cgroups=$(findmnt --noheadings --output TARGET --types cgroup2 | head -n 1)
ours=linger-bench/slurmstepd.scope/job_$job
# Of a job with a session of its own all is in the kernel's: slurmstepd leaves its cgroup and comes back.
own_uid=4712 own_job=43
scope=linger-bench-own/slurmstepd.scope
own=$scope/job_$own_job
session=$own/step_extern/user/session
mkdir -p "$cgroups"/{$ours,$own}/step_0/{slurm,user/task_0} "$cgroups"/{$scope/system,$session}
# The processes of a step are in the job's cgroup, and find it in /proc.
mount --bind "$cgroups" /mnt
leave() {
    kill "$listener" || true
    wait 2>/dev/null || true
    # Who has just ended may be in its cgroup a moment longer.
    for _ in $(seq 20); do
        ! find /mnt/linger-bench /mnt/linger-bench-own -depth -type d -exec rmdir {} + 2>/dev/null || break
        sleep 0.1
    done
}

mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /sys/fs/cgroup
slice=/sys/fs/cgroup/user.slice/user-$uid.slice
mkdir -p /sys/fs/cgroup/$ours/step_0/user/task_0 $slice/user@$uid.service/init.scope /sys/fs/cgroup/$scope
for cgroup in /sys/fs/cgroup/$ours $slice; do
    echo 67108864 >$cgroup/memory.max
    echo max >$cgroup/memory.swap.max
    echo 5185 >$cgroup/pids.max
    echo 0 >$cgroup/cpuset.cpus
done
echo 1 >$slice/user@$uid.service/init.scope/cgroup.procs
mount --bind /mnt/$scope /sys/fs/cgroup/$scope

for user in $uid $own_uid; do
    mkdir -p /run/user/$user
    mount -t tmpfs -o mode=700,uid=$user,gid=$user tmpfs /run/user/$user
    mkdir -m 755 /run/user/$user/systemd
done
perl -MSocket -e '
    for my $path (@ARGV) {
        my $socket;
        socket($socket, PF_UNIX, SOCK_STREAM, 0) && bind($socket, pack_sockaddr_un($path))
            && listen($socket, 4096) && chmod(0777, $path) or die "$path: $!\n";
        push @open, $socket;
    }
    sleep 300' /run/user/{$uid,$own_uid}/{bus,systemd/private} &
listener=$!
trap leave EXIT
for _ in $(seq 100); do [ ! -S /run/user/$own_uid/systemd/private ] || break; sleep 0.05; done

run=/run/spank-linger
state=$run/$uid
start=$(sed 's/.*) //' /proc/$$/stat | cut --delimiter=' ' --fields=20)
mkdir -m 700 $run $state $run/$own_uid{,.own}
limits='{"memory":67108864,"cpus":"0"}'
echo '{"version":1,"state":"open"}' >$state/$job
echo "{\"version\":1,${limits#?}" >$state/$job.limits
echo "{\"version\":1,\"wanted\":$limits,\"set\":$limits,\"touched\":[\"MemoryMax\",\"AllowedCPUs\"],\"done\":true,
    \"before\":{\"memory_max\":18446744073709551615,\"memory_swap_max\":18446744073709551615,\"tasks_max\":5185,
    \"allowed_cpus\":[],\"device_policy\":\"auto\",\"device_allow\":[]},\"had_drop_in\":[]}" >$state/slice

echo '{"version":1,"state":"open","kind":"own"}' >$run/$own_uid/$own_job
# Its guard lives, else each step would start one.
this="{\"pid\":$$,\"start\":$start}"
echo "{\"version\":1,\"outside\":$(stat --dereference --format=%i /proc/self/ns/mnt),\"cgroup\":\"$session\",
    \"manager\":$this,\"guard\":$this,\"is_ready\":true}" >$run/$own_uid/$own_job.own
touch $run/$own_uid.own/$own_job
unshare --mount=$run/$own_uid.own/$own_job true

# step VARIANT PLUGIN UID JOB CGROUP [ARGUMENT...]
step() {
    local tree=/mnt/$5/step_0
    echo "extern $$ $start" >"$run/$3/$4.keepers"
    rm -f "$run/$3/$4.audit"
    SLURM_JOBID=$4 SLURM_UID=$3 STEP_PROCS=$tree/slurm/cgroup.procs TASK_PROCS=$tree/user/task_0/cgroup.procs \
        "$host" step-here "$1" step "$2" on_error=fail "${@:6}"
}

for _ in $(seq "$1"); do
    step floor "$3" $uid $job $ours
    step ours "$4" $uid $job $ours
    step job "$4" $own_uid $own_job $own session=job
done

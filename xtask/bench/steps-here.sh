# steps-here.sh ROUNDS HOST FLOOR OURS, as root: the callbacks of a step, and loading the plugin, on this
# machine. In a mount namespace that has the files of a session, of its slice and of a job, and nothing of
# systemd's: what answers behind them is the node's affair and measured there.
set -euo pipefail
if [ "${1-}" != inside ]; then
    exec unshare --mount --propagation private bash "$0" inside "$@"
fi
shift
uid=4711 job=42
cgroups=$(findmnt --noheadings --output TARGET --types cgroup2 | head -n 1)
ours=linger-bench/slurmstepd.scope/job_$job
mkdir -p "$cgroups/$ours/step_0"
# The processes of a step are in the job's cgroup, and find it in /proc.
mount --bind "$cgroups" /mnt
leave() {
    echo $$ >/mnt/cgroup.procs
    kill "$listener" || true
    wait 2>/dev/null || true
    rmdir /mnt/$ours/step_0 /mnt/$ours "/mnt/$(dirname $ours)" /mnt/linger-bench
}

mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /sys/fs/cgroup
slice=/sys/fs/cgroup/user.slice/user-$uid.slice
mkdir -p /sys/fs/cgroup/$ours $slice/user@$uid.service/init.scope
for cgroup in /sys/fs/cgroup/$ours $slice; do
    echo 67108864 >$cgroup/memory.max
    echo max >$cgroup/memory.swap.max
    echo 5185 >$cgroup/pids.max
    echo 0 >$cgroup/cpuset.cpus
done
echo 1 >$slice/user@$uid.service/init.scope/cgroup.procs

mkdir -p /run/user/$uid
mount -t tmpfs -o mode=700,uid=$uid,gid=$uid tmpfs /run/user/$uid
mkdir -m 755 /run/user/$uid/systemd
perl -MSocket -e '
    for my $path (@ARGV) {
        my $socket;
        socket($socket, PF_UNIX, SOCK_STREAM, 0) && bind($socket, pack_sockaddr_un($path))
            && listen($socket, 4096) && chmod(0777, $path) or die "$path: $!\n";
        push @open, $socket;
    }
    sleep 300' /run/user/$uid/bus /run/user/$uid/systemd/private &
listener=$!
trap leave EXIT
for _ in $(seq 100); do [ ! -S /run/user/$uid/systemd/private ] || break; sleep 0.05; done

state=/run/spank-linger/$uid
mkdir -m 700 /run/spank-linger $state
limits='{"memory":67108864,"cpus":"0"}'
echo "{\"version\":1,\"state\":\"open\",\"limits\":$limits}" >$state/$job
echo "{\"version\":1,\"wanted\":$limits,\"set\":$limits,\"touched\":[\"MemoryMax\",\"AllowedCPUs\"],\"done\":true,
    \"before\":{\"memory_max\":18446744073709551615,\"memory_swap_max\":18446744073709551615,\"tasks_max\":5185,
    \"allowed_cpus\":[],\"device_policy\":\"auto\",\"device_allow\":[]},\"had_drop_in\":[]}" >$state/slice
start=$(sed 's/.*) //' /proc/$$/stat | cut --delimiter=' ' --fields=20)

echo $$ >/mnt/$ours/step_0/cgroup.procs
for _ in $(seq "$1"); do
    for variant in floor ours; do
        plugin=$3
        [ $variant = floor ] || plugin=$4
        echo "extern $$ $start" >$state/$job.keepers
        rm -f $state/$job.audit
        SLURM_JOBID=$job SLURM_UID=$uid "$2" step-here $variant step "$plugin" on_error=fail
    done
done

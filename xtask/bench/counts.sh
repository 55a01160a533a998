# counts.sh: what one prolog and one epilog cost in system calls, messages and instructions, warm
# and cold. The tools slow them down, so nothing here is a time.
. /opt/linger-bench/common.sh
clean
out=/tmp/linger-bench
rm -rf $out
mkdir -p $out
job=910000

# counted MEASURE VARIANT prolog|epilog: once under each of the tools, and the other way after each,
# so that all begin alike.
counted() {
    local under
    for under in strace callgrind busctl; do
        job=$((job + 1))
        [ "$3" = prolog ] || plain "$2" prolog
        "under_$under" "$1-$3" "$2" "$3"
        [ "$3" = epilog ] || plain "$2" epilog
        [ "$1" = warm ] || until_true 120 is_down "$(uid "$2")"
    done
}

# shellcheck disable=SC2046
plain() { env $(job_environment "$1" "$job") "${@:3}" /usr/sbin/slurmstepd spank "$2" </dev/null >&2; }

under_strace() {
    become "$2"
    plain "$2" "$3" strace -f -c -o "$out/strace-$1-$2"
    sample "$1" "$2" syscalls "$(awk '$NF == "total" { print $4 }' "$out/strace-$1-$2")"
}

under_callgrind() {
    become "$2"
    plain "$2" "$3" valgrind --tool=callgrind --log-file="$out/callgrind-$1-$2.log" \
        --callgrind-out-file="$out/callgrind-$1-$2"
    sample "$1" "$2" instructions \
        "$(awk '/Collected/ { print $NF }' "$out/callgrind-$1-$2.log")"
}

# The first connection that begins is the callback's.
under_busctl() {
    local messages="$out/busctl-$1-$2"
    become "$2"
    listen "$messages"
    plain "$2" "$3"
    end_listening
    sed "s/^/bus $1 $2 /" "$messages"
}

for variant in floor bare ours; do
    hold "$variant"
    counted warm "$variant" prolog
    counted warm "$variant" epilog
done
clean
for variant in bare ours; do
    counted cold "$variant" prolog
    counted cold "$variant" epilog
done

# A step of a session=job: whoever asks anything on the bus says Hello first.
become job
hold job
listen $out/busctl-step
as_user job srun --jobid="${held[job]}" --overlap --ntasks=1 true
end_listening
sample step job bus_connections "$(grep --count '"member":"Hello"' $out/busctl-step || true)"
clean

# A whole job of that kind, and one of the other beside another: all connections that begin are of its callbacks.
become job
listen $out/busctl-own
as_user job srun --ntasks=1 --mem=64 true
until_true 120 idle
end_listening
sed "s/^/bus cold-job job /" $out/busctl-own

become ours
hold ours
listen $out/busctl-job
as_user ours srun --ntasks=1 --mem=64 true
until_true 120 alone "${held[ours]}"
end_listening
sed "s/^/bus warm-job ours /" $out/busctl-job

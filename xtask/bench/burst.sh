# burst.sh ROUNDS: 256 prologs of one user's jobs that begin at once, without a session, and as many epilogs.
. /opt/linger-bench/common.sh
as_on_most_sites
clean
many=256
messages=/tmp/linger-burst

# at_once VARIANT prolog|epilog
at_once() {
    local job begun shared pids=()
    shared=$(job_environment "$1" @)
    begun=${EPOCHREALTIME/./}
    for job in $(seq 3000001 $((3000000 + many))); do
        # shellcheck disable=SC2086
        env ${shared//@/$job} "$here/stopwatch" "burst-$2" "$1" /usr/sbin/slurmstepd spank "$2" </dev/null &
        pids+=($!)
    done
    wait "${pids[@]}"
    sample "burst-${2}s" "$1" wall_us $((${EPOCHREALTIME/./} - begun))
}

# How often systemd and logind are asked anything, by whoever it is.
calls() { grep --count '"type":"method_call".*"destination":"org.freedesktop.\(systemd1\|login1\)"' $messages || true; }

for _ in $(seq "$1"); do
    for variant in floor ours; do
        become "$variant"
        for callback in prolog epilog; do
            listen $messages
            at_once "$variant" "$callback"
            end_listening
            sample "burst-${callback}s" "$variant" bus_calls "$(calls)"
        done
        until_true 120 is_down "$(uid "$variant")"
    done
done

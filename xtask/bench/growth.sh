# growth.sh ROUNDS: prolog and epilog beside 1 to 1000 leases, of the same user and of as many users,
# and the sweep at slurmd's start. The leases are copies of one that a job holds.
. /opt/linger-bench/common.sh
clean
umask 077
run=/run/spank-linger
job=2000000
hold ours
become ours
mine=$run/$(uid ours)
cp "$mine/slice" /tmp/slice

# copies FILE COUNT FORMAT: with ids from 1000001 on in the place of %s.
copies() {
    # shellcheck disable=SC2046,SC2059
    [ "$2" = 0 ] || tee <"$1" $(printf "$3\n" $(seq 1000001 $((1000000 + $2)))) >/dev/null
}

# In the order that jobs leave them in, by which they are listed.
own_leases() {
    local kind job
    declare -A text
    for kind in lease .limits .keepers .audit; do text[$kind]=$(<"$mine/${held[ours]}${kind#lease}"); done
    for job in $(seq 1000001 $((1000000 + $1))); do
        for kind in lease .limits .keepers .audit; do echo "${text[$kind]}" >"$mine/$job${kind#lease}"; done
    done
}
no_own_leases() { find "$mine" -name '1??????*' ! -name "${held[ours]}*" -delete; }

leases_of_others() {
    [ "$1" = 0 ] || seq --format="$run/%.0f" 1000001 $((1000000 + $1)) | xargs mkdir
    echo '{"version":1,"state":"open"}' >/tmp/lease
    echo '{"version":1,"name":"nobody","linger_before":false}' >/tmp/undo
    copies /tmp/lease "$1" "$run/%s/7"
    copies "$mine/${held[ours]}.keepers" "$1" "$run/%s/7.keepers"
    # Jobs that have begun, in slices that are held to it.
    copies "$mine/${held[ours]}.limits" "$1" "$run/%s/7.limits"
    copies /tmp/slice "$1" "$run/%s/slice"
    copies /tmp/undo "$1" "/var/lib/spank-linger/%s"
}
no_leases_of_others() {
    find $run /var/lib/spank-linger -maxdepth 1 -name '1??????' -exec rm -rf {} +
}

# The first pair finds the slice to be changed, because other leases were there before.
pair() {
    job=$((job + 1))
    callback unmeasured ours prolog "$job" >/dev/null
    callback unmeasured ours epilog "$job" >/dev/null
    callback "$1-prolog" ours prolog "$job"
    callback "$1-epilog" ours epilog "$job"
}

sweep() {
    "$here/host" "$1-sweep" ours slurmd "$(plugin_of ours)"
}

for _ in $(seq "$1"); do
    for count in 1 10 100 256 1000; do
        own_leases $((count - 1))
        pair "own-$count"
        case $count in 1 | 1000) sweep "own-$count" ;; esac
        no_own_leases
        leases_of_others $((count - 1))
        pair "others-$count"
        [ "$count" != 1000 ] || sweep "others-$count"
        no_leases_of_others
    done
done

# callbacks.sh WARM COLD: prolog and epilog, so many rounds beside another job of the user and
# so many without one.
. /opt/linger-bench/common.sh
clean

job=900000
warm_round() {
    local variant
    for variant in $variants; do
        job=$((job + 1))
        callback warm-prolog "$variant" prolog "$job"
        callback warm-epilog "$variant" epilog "$job"
    done
}

since() { systemctl show --property="$2TimestampMonotonic" --value "$1"; }

# What systemd itself needed: from the begin of the first of the two units to the second's being ready.
systemds_part() {
    sample cold-prolog "$1" systemd_us \
        $(($(since "user@$2" ActiveEnter) - $(since "user-runtime-dir@$2" InactiveExit)))
}

cold_round() {
    local variant uid
    for variant in $variants; do
        job=$((job + 1))
        uid=$(uid "$variant")
        callback cold-prolog "$variant" prolog "$job"
        # The recipe returns when there is a bus, which is before systemd calls the session ready.
        # Linger that is turned off before that leaves the session up for ever: logind has forgotten it.
        [ "$variant" = floor ] || until_true 120 is_up "$uid"
        case $variant in bare | ours) systemds_part "$variant" "$uid" ;; esac
        callback cold-epilog "$variant" epilog "$job"
        until_true 120 is_down "$uid"
    done
    systemd_alone
}

# The same start and stop without Slurm and without linger, by systemd's own client.
systemd_alone() {
    local uid
    uid=$(uid floor)
    "$here/stopwatch" cold-prolog systemd systemctl start "user@$uid.service"
    systemds_part systemd "$uid"
    "$here/stopwatch" cold-epilog systemd systemctl stop \
        "user@$uid.service" "user-runtime-dir@$uid.service"
    until_true 120 is_down "$uid"
}

for variant in $variants; do hold "$variant"; done
for _ in $(seq "$1"); do warm_round; done
clean
for _ in $(seq "$2"); do cold_round; done

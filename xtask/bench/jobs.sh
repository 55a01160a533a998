# jobs.sh ROUNDS WHOLE ROW: jobs as Slurm runs them. In each round each variant has so many of a short
# `srun` beside another job and without one, and so many of `srun true` in a row.
. /opt/linger-bench/common.sh
as_on_most_sites
clean
change_slurm

# slurmd looks for scripts and for plugins with a prolog only when it starts.
move_in() {
    become "$1"
    cp /tmp/slurm.conf.before $conf
    [ "$1" != recipe ] || cat >>$conf <<END
Prolog=$here/recipe-prolog.sh
Epilog=$here/recipe-epilog.sh
TaskProlog=$here/recipe-task-prolog.sh
END
    restart
}

# The recipe's session may have been forgotten by logind, when its job was over before it was up.
no_session() {
    until_true 120 idle
    [ "$1" != recipe ] || end_session "$(uid "$1")"
    until_true 120 is_down "$(uid "$1")"
}

# Jobs a minute, from the first srun to the end of the last epilog. The recipe's prolog may meet a session
# that its epilog has told to end, and fail for want of a bus: Slurm drains the node for it.
in_a_row() {
    local begun=${EPOCHREALTIME/./} lost=0
    for _ in $(seq "$2"); do
        as_user "$1" timeout 200 srun --ntasks=1 --mem=64 true && continue
        [ "$1" = recipe ] || return 1
        lost=$((lost + 1))
        ! is_drained || scontrol update nodename=n1 state=resume
        until_true 120 idle
    done
    until_true 120 idle
    sample in-a-row "$1" lost "$lost"
    sample in-a-row "$1" jobs_per_min \
        "$(awk -v jobs="$2" -v us=$((${EPOCHREALTIME/./} - begun)) 'BEGIN { print jobs * 6e7 / us }')"
}

# What keep= kept is closed, as its timer would.
no_keep() {
    spank-linger sweep >/dev/null
    systemctl stop 'spank-linger-keep-*' || true
    until_true 120 is_down "$(uid keep)"
}

for _ in $(seq "$1"); do
    move_in keep
    in_a_row keep "$3"
    no_keep
    for variant in $all; do
        move_in "$variant"
        for _ in $(seq "$2"); do
            whole cold-job "$variant"
            no_session "$variant"
        done
        in_a_row "$variant" "$3"
        no_session "$variant"
        hold "$variant"
        for _ in $(seq "$2"); do
            whole warm-job "$variant"
            sleep 1
        done
        clean
    done
done

# What all measurements share: the variants, each with a user of its own, so that none finds
# what another has left. The floor has no session, so `job` finds nothing of its user's.
set -euo pipefail
# A busy emulated node may take longer than a site would wait, hence the timeout.
here=/opt/linger-bench
variants="floor recipe bare ours"
# With session=job the prolog opens nothing: it is compared where whole jobs and steps are.
all="$variants job"
declare -A user=([floor]=dave [recipe]=carol [bare]=bob [ours]=alice [keep]=alice [job]=dave)
declare -A line=(
    [floor]="required $here/floor.so"
    [recipe]=""
    [bare]="required spank_linger.so on_error=drain timeout=120 confine=none leftovers=keep"
    [ours]="required spank_linger.so on_error=drain timeout=120"
    [keep]="required spank_linger.so on_error=drain timeout=120 keep=30"
    [job]="required spank_linger.so on_error=drain timeout=120 session=job"
)

uid() { id -u "${user[$1]}"; }

# Slurm reads the file anew for each prolog, step and client.
become() {
    echo "${line[$1]}" >/etc/slurm/plugstack.conf.d/linger.conf
}

# The file that the variant's line names.
plugin_of() {
    case $1 in
    floor) echo $here/floor.so ;;
    *) find /usr/lib -name spank_linger.so ;;
    esac
}

sample() { echo "sample $*"; }

# as_user VARIANT COMMAND...: somebody who is not logged in.
as_user() {
    local name=${user[$1]}
    shift
    setpriv --reuid="$name" --regid="$name" --init-groups --reset-env -- \
        env --chdir=/tmp PATH="$PATH" "$@"
}

# The ids that slurmd gives a prolog and an epilog, as `slurmstepd spank` and as a script want them.
job_environment() {
    local uid
    uid=$(uid "$1")
    echo "SLURM_CONF=/etc/slurm/slurm.conf SLURM_JOBID=$2 SLURM_JOB_ID=$2 SLURM_UID=$uid" \
        "SLURM_JOB_UID=$uid SLURM_JOB_GID=$uid SLURM_JOB_USER=${user[$1]}"
}

# callback MEASURE VARIANT prolog|epilog JOB: what slurmd would run, under the stopwatch.
callback() {
    local command="/usr/sbin/slurmstepd spank $3"
    [ "$2" != recipe ] || command="$here/recipe-$3.sh"
    become "$2"
    # shellcheck disable=SC2046,SC2086
    env $(job_environment "$2" "$4") "$here/stopwatch" "$1" "$2" $command
}

# until_true SECONDS COMMAND...: looked at again after a `pause`.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        if [ "$SECONDS" -gt "$deadline" ]; then
            echo "still not: $*" >&2
            return 1
        fi
        sleep "${pause-0.2}"
    done
}

is_down() {
    [ "$(systemctl is-active "user@$1.service" "user-runtime-dir@$1.service" | sort -u)" = inactive ]
}

is_drained() { sinfo --noheader --format=%T | grep --quiet drain; }

# over VARIANT: Slurm is through with every job but the one that is held.
over() { [ "$(squeue --noheader --format=%A)" = "${held[$1]-}" ]; }

idle() { [ "$(sinfo --noheader --format=%T | sort -u)" = idle ]; }

# Also of one that logind has forgotten.
end_session() { systemctl stop "user@$1.service" "user-runtime-dir@$1.service"; }

is_up() { [ "$(systemctl is-active "user@$1.service")" = active ]; }

# alone JOB: it is the only job that the node still has anything of, an epilog included.
alone() { [ "$(find /run/spank-linger -mindepth 2 -name '[0-9]*' ! -name '*.*')" = "$(echo /run/spank-linger/*/"$1")" ]; }

# hold VARIANT: a job of the variant's user that stays, and with it the session. Sets `held`. All
# its steps have read plugstack.conf when its script runs.
declare -A held=()
hold() {
    local sign="/tmp/held-$1"
    rm -f "$sign"
    if [ "$1" = recipe ]; then
        # shellcheck disable=SC2046
        env $(job_environment recipe 0) "$here/recipe-prolog.sh"
    fi
    become "$1"
    held[$1]=$(as_user "$1" sbatch --parsable --output=/dev/null --mem=64 --wrap="touch $sign; sleep infinity")
    until_true 120 test -e "$sign"
}

# The end of all jobs and sessions, whatever was before.
clean() {
    local variant
    # shellcheck disable=SC2046
    kill $(jobs -p) 2>/dev/null || true
    scancel --full $(squeue --noheader --format=%A) 2>/dev/null || true
    # Jobs that end while plugstack.conf changes drain the node: of a run before that was cut off.
    ! is_drained || scontrol update nodename=n1 state=resume
    until_true 120 idle
    held=()
    for variant in $variants; do
        loginctl disable-linger "${user[$variant]}"
        end_session "$(uid "$variant")"
        until_true 120 is_down "$(uid "$variant")"
    done
    rm -rf /run/spank-linger/* /var/lib/spank-linger/*
}
trap clean EXIT

# With on_error=drain a prolog waits for the session.
as_on_most_sites() {
    local variant
    for variant in "${!line[@]}"; do line[$variant]=${line[$variant]/on_error=drain/on_error=fail}; done
}

restart() {
    systemctl reset-failed slurmd slurmctld
    systemctl restart slurmctld slurmd
    until_true 120 idle
}

# Until the end of the script slurm.conf may be changed, with `restart`.
conf=/etc/slurm/slurm.conf
change_slurm() {
    cp $conf /tmp/slurm.conf.before
    trap 'cp /tmp/slurm.conf.before $conf; restart; clean' EXIT
}

# whole MEASURE VARIANT [OPTION...]: a job of srun's, from the submission to the task, from there until Slurm is
# through with the job, and what srun takes between the two. No command is as short and tells when it ran; the file's time is right to 4 ms.
whole() {
    local begun ended sign=/tmp/begun-$2 submitted=${EPOCHREALTIME/./}
    as_user "$2" "$here/stopwatch" "$1" "$2" srun --ntasks=1 --mem=64 "${@:3}" touch "$sign"
    pause=0.02 until_true 120 over "$2"
    ended=${EPOCHREALTIME/./}
    begun=$(stat --format=%.6Y "$sign")
    rm "$sign"
    sample "$1" "$2" first_us $((${begun/./} - submitted))
    sample "$1" "$2" end_us $((ended - ${begun/./}))
}

# listen FILE: all messages on the bus from now on, one JSON object a line. Sets `monitor`.
listen() {
    rm -f "$1"
    busctl monitor --json=short >>"$1" 2>/dev/null &
    monitor=$!
    until_true 60 is_heard "$1"
    sleep 1
    : >"$1"
}

# The monitor says nothing by itself, so it is given something to hear.
is_heard() {
    busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId >/dev/null
    test -s "$1"
}

end_listening() {
    sleep 1
    kill "$monitor"
    wait "$monitor" || true
}

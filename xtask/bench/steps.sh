# steps.sh ROUNDS CLIENTS: what each step of a running job pays, and what a submission pays.
. /opt/linger-bench/common.sh
clean

step() {
    local script=""
    become "$1"
    [ "$1" != recipe ] || script="--task-prolog=$here/recipe-task-prolog.sh"
    # shellcheck disable=SC2086
    as_user "$1" "$here/stopwatch" step "$1" \
        srun --jobid="${held[$1]}" --overlap --ntasks=1 $script true
}

# Held, so that no job runs meanwhile. The recipe has no plugin: its client is Slurm alone.
submission() {
    become "$1"
    as_user "$1" "$here/stopwatch" sbatch "$1" sbatch --hold --output=/dev/null --wrap=true
    [ "$1" = recipe ] || "$here/host" client "$1" client "$(plugin_of "$1")"
}

for variant in $all; do hold "$variant"; done
for _ in $(seq "$1"); do
    for variant in $all; do step "$variant"; done
done
for _ in $(seq "$2"); do
    for variant in floor recipe ours; do submission "$variant"; done
done

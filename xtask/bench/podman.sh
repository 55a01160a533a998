# podman.sh ROUNDS WARM: a container as the first command of a job that nothing of its user's is beside, and so many
# more in it; and the same in a login of the user's that nothing else is beside.
. /opt/linger-bench/common.sh
clean

cat >/tmp/containers <<'END'
podman=(podman run --rm --network=none localhost/busybox true)
"$1/stopwatch" first-podman "$2" "${podman[@]}"
for _ in $(seq "$3"); do "$1/stopwatch" next-podman "$2" "${podman[@]}"; done
END

containers() {
    become "$1"
    as_user "$1" srun --ntasks=1 --mem=300 bash /tmp/containers "$here" "$1" "$2"
    until_true 120 idle
    until_true 120 is_down "$(uid "$1")"
}

in_a_login() {
    su --login "${user[ours]}" --command "bash /tmp/containers $here login $1"
    until_true 120 is_down "$(uid ours)"
}

for _ in $(seq "$1"); do
    for variant in ours job; do containers "$variant" "$2"; done
    in_a_login "$2"
done

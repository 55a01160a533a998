# crowd.sh ROUNDS: jobs on a node with 1,000 processes of another user's, 300 nodes below /dev, and 64 GPUs, which
# are consoles by that name.
. /opt/linger-bench/common.sh
as_on_most_sites
clean
change_slurm
gres=/etc/slurm/gres.conf
cp --preserve $gres /tmp/gres.conf.before
trap 'systemctl stop crowd; rm -rf /dev/crowd; cp /tmp/gres.conf.before $gres; cp /tmp/slurm.conf.before $conf
    rm -f /dev/gpu[0-9]*; restart; clean' EXIT

systemd-run --quiet --unit=crowd --uid=nobody --property=TasksMax=2000 \
    bash -c 'for i in {1..1000}; do sleep infinity & done; wait'
mkdir /dev/crowd
for n in {0..63}; do mknod --mode=666 "/dev/gpu$n" c 4 "$n"; done
for n in {1..300}; do mknod --mode=666 "/dev/crowd/$n" c 240 "$n"; done
echo 'Name=gpu File=/dev/gpu[0-63] AutoDetect=off' >$gres
sed -i 's/^GresTypes=.*/GresTypes=gpu/; /^NodeName=n1 /{s/ Gres=[^ ]*//; s/$/ Gres=gpu:64/}' $conf
restart

for _ in $(seq "$1"); do
    for variant in floor ours job; do
        become "$variant"
        whole crowd-job "$variant" --gres=gpu:1
        until_true 120 idle
        until_true 120 is_down "$(uid "$variant")"
    done
done

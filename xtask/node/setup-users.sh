# The people of the tests, and svc below min_uid.
uid=1001
for user in alice bob carol dave; do
    useradd --create-home --shell /bin/bash --uid "$uid" "$user"
    uid=$((uid + 1))
done
useradd --system --create-home --home-dir /var/lib/svc --shell /bin/bash --uid 900 svc

# useradd gives ranges by the suite's login.defs; the tests want the same ones everywhere.
: >/etc/subuid
start=100000
for user in alice bob carol dave; do
    echo "$user:$start:65536" >>/etc/subuid
    start=$((start + 65536))
done
cp /etc/subuid /etc/subgid

for user in root alice bob carol dave svc; do
    home=$(getent passwd "$user" | cut -d: -f6)
    install -d -m 700 -o "$user" -g "$user" "$home/.ssh"
    install -m 600 -o "$user" -g "$user" /node/authorized_keys "$home/.ssh/authorized_keys"
done

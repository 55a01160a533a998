# How a node stands with the session of the user with uid $1.
look() {
    linger=off
    [ -e "/var/lib/systemd/linger/$(id -nu "$1")" ] && linger=on
    directory='not there'
    [ -e "/run/user/$1" ] && directory=there
    echo "linger $linger, user@$1.service $(systemctl is-active "user@$1.service"), /run/user/$1 $directory"
}
# Whether the job's detached container runs.
detached() {
    if pgrep --uid "$1" --full '^sleep 300$' >/dev/null; then echo runs; else echo gone; fi
}

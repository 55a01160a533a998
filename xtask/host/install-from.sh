#!/bin/sh
# Installs packages from a suite that the host's own apt lists do not have, and leaves those
# lists as they are: install-from.sh MIRROR SIGNED-BY RELEASE SUITE PACKAGE…
set -eu
mirror=$1 signed_by=$2 release=$3 suite=$4
shift 4

lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
mkdir -p "$lists/lists/partial"
# apt's own download user reads here too.
chmod -R 755 "$lists"

option=
[ -z "$signed_by" ] || option="[signed-by=$signed_by] "
for one in "$release" "$suite"; do
    echo "deb ${option}$mirror $one main"
done >"$lists/one-off.list"

apt() {
    apt-get -o Dir::Etc::sourcelist="$lists/one-off.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$lists/lists" "$@"
}
export DEBIAN_FRONTEND=noninteractive
apt update
apt install -y --no-install-recommends -t "$suite" "$@"

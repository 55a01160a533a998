# What a test node does not need costs seconds on an emulated CPU.
unneeded="apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
    e2scrub_reap.service fstrim.timer getty@tty1.service serial-getty@ttyS0.service
    systemd-hwdb-update.service systemd-journal-flush.service systemd-random-seed.service
    systemd-pstore.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
    systemd-firstboot.service systemd-timesyncd.service systemd-networkd.service
    systemd-network-generator.service systemd-networkd.socket
    systemd-ask-password-console.path systemd-ask-password-wall.path
    sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount
    modprobe@efi_pstore.service modprobe@drm.service modprobe@configfs.service
    podman-auto-update.timer podman.socket podman.service podman-restart.service
    podman-clean-transient.service netavark-dhcp-proxy.service
    netavark-dhcp-proxy.socket"
# shellcheck disable=SC2086
systemctl mask --quiet $unneeded

# Generators that find nothing on a node: half of the five seconds that it takes to reload systemd.
mkdir -p /etc/systemd/system-generators
for generator in podman-system-generator systemd-debug-generator systemd-getty-generator \
    systemd-gpt-auto-generator systemd-hibernate-resume-generator systemd-rc-local-generator \
    systemd-run-generator systemd-ssh-generator systemd-system-update-generator \
    systemd-sysv-generator systemd-tpm2-generator; do
    ln -s /dev/null "/etc/systemd/system-generators/$generator"
done

# The agents of gnupg and ssh in each user's session: a second of the two that a start and a stop
# of an emulated session take.
systemctl --global mask --quiet gpg-agent.socket gpg-agent-ssh.socket gpg-agent-extra.socket \
    gpg-agent-browser.socket dirmngr.socket keyboxd.socket ssh-agent.socket

# The key that both nodes of a cluster share.
dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=1 status=none
chown munge:munge /etc/munge/munge.key
chmod 400 /etc/munge/munge.key
systemctl enable --quiet munge ssh slurmctld slurmd

# Root's ssh is the tests' line to the node. logind ends the sessions it knows when it comes
# back after a mask, so that one is none of them.
sed -i 's/^session.*pam_systemd\.so/session [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\n&/' \
    /etc/pam.d/common-session
grep -q 'uid = 0' /etc/pam.d/common-session

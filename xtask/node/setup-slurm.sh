# Debian 12 and later run slurmctld as the user slurm.
install -d -o slurm -g slurm /var/spool/slurmctld /var/log/slurm
install -d /var/spool/slurmd /etc/slurm/plugstack.conf.d
# Debian's own line; older releases ship the file without it, or not at all.
include='include /etc/slurm/plugstack.conf.d/*.conf'
grep -qxF "$include" /etc/slurm/plugstack.conf 2>/dev/null || echo "$include" >>/etc/slurm/plugstack.conf

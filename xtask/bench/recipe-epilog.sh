#!/bin/bash
# Epilog= of the script that sites use without a plugin: linger goes with the user's last job.
others=$(scontrol listpids | awk -v job="$SLURM_JOB_ID" 'NR > 1 && $1 > 0 && $2 != job { print $1 }')
for pid in $others; do
    [ "$(stat --format=%u "/proc/$pid" 2>/dev/null)" = "$SLURM_JOB_UID" ] && exit 0
done
loginctl disable-linger "$SLURM_JOB_UID"

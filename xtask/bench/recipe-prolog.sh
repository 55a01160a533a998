#!/bin/bash
# Prolog= of the script that sites use without a plugin.
loginctl enable-linger "$SLURM_JOB_UID"
for _ in $(seq 600); do
    [ -S "/run/user/$SLURM_JOB_UID/bus" ] && exit 0
    sleep 0.1
done
exit 1

#!/bin/bash
# TaskProlog= of the script that sites use without a plugin.
echo "export XDG_RUNTIME_DIR=/run/user/$SLURM_JOB_UID"
echo "export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$SLURM_JOB_UID/bus"

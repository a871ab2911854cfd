#!/bin/sh
# Slurm's prolog: tells the fleet's database which GPUs the job was given. In slurm.conf:
#   Prolog=/etc/slurm/prolog.d/blackbox.sh
# It never fails, since a prolog that fails drains the node, and takes FLEET_SECONDS at most, ten by default.
# Address, user and files stand in /etc/blackbox/fleet: BLACKBOX_FLEET=..., FLEET_FLAGS="--user ... --password-file ..."
[ -n "${SLURM_JOB_GPUS:-}" ] || exit 0
[ -r /etc/blackbox/fleet ] && . /etc/blackbox/fleet
export BLACKBOX_FLEET
# shellcheck disable=SC2086 # several words
timeout "${FLEET_SECONDS:-10}" blackbox fleet allocate ${FLEET_FLAGS:-} 2>&1 | logger -t blackbox-prolog
exit 0

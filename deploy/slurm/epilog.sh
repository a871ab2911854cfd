#!/bin/sh
# Slurm's epilog: tells the fleet's database that the job gave its GPUs back. In slurm.conf:
#   Epilog=/etc/slurm/epilog.d/blackbox.sh
# It never fails, since an epilog that fails drains the node, and takes FLEET_SECONDS at most, ten by default.
# Address, user and files stand in /etc/blackbox/fleet: BLACKBOX_FLEET=..., FLEET_FLAGS="--user ... --password-file ..."
[ -n "${SLURM_JOB_GPUS:-}" ] || exit 0
[ -r /etc/blackbox/fleet ] && . /etc/blackbox/fleet
export BLACKBOX_FLEET
# shellcheck disable=SC2086 # several words
timeout "${FLEET_SECONDS:-10}" blackbox fleet allocate --ended ${FLEET_FLAGS:-} 2>&1 | logger -t blackbox-epilog
exit 0

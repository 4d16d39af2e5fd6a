#!/usr/bin/env bash
#SBATCH --job-name=posejax
#SBATCH --output=slurm-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@180
# Run main.py on a Slurm cluster, from the repository's root, one task per GPU:
#   sbatch --nodes=2 --gpus-per-node=4 --ntasks-per-node=4 launch/slurm.sh --config=... --workdir=...
# or on nodes without any:
#   sbatch --nodes=2 --ntasks-per-node=1 --cpus-per-task=16 launch/slurm.sh --config=... --workdir=...
# The work directory must lie on a file system that all nodes share. Three minutes before the time
# limit, and at preemption, all tasks get SIGTERM, write a checkpoint and end; the job then waits in the
# queue again and goes on from there, until the run is complete. `scancel` ends it for good.
set -euo pipefail

# sbatch runs a copy of this file, so that its own folder says nothing.
cd "${SLURM_SUBMIT_DIR:?start this with sbatch}"
# srun does not take this over from sbatch by itself.
if [[ -n ${SLURM_CPUS_PER_TASK-} ]]; then
  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
fi

# This shell itself gets the signal when the whole job is to go: cancelled, or requeued by Slurm already.
told=''
trap 'told=yes' TERM
status=0
# A task that fails takes the others with it. Not at once: tasks that were stopped together do not end in
# the same moment, and would be killed by the first that does.
srun --kill-on-bad-exit=0 --wait=30 python main.py "$@" || status=$?

# 75: a checkpoint was written and something is left to do. A job that ends within its grace time is over
# for Slurm, preempted or not.
if ((status == 75)) && [[ -z $told ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"

#!/usr/bin/env bash
#SBATCH --job-name=posejax
#SBATCH --output=slurm-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@180
# Run main.py on a Slurm cluster, one task per GPU, from the repository's root:
#   sbatch --nodes=2 --gpus-per-node=4 --ntasks-per-node=4 launch/slurm.sh --config=... --workdir=...
# The work directory must lie on a file system that all nodes share. Three minutes before the time
# limit, and at preemption, all tasks get SIGTERM, write a checkpoint and end; the same command again
# goes on from there.
set -euo pipefail

# sbatch runs a copy of this file, so that its own folder says nothing.
cd "${SLURM_SUBMIT_DIR:?start this with sbatch}"
# srun does not take this over from sbatch by itself.
if [[ -n ${SLURM_CPUS_PER_TASK-} ]]; then
  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
fi
exec srun --kill-on-bad-exit=1 python main.py "$@"

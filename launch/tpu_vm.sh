#!/usr/bin/env bash
# Run main.py on all hosts of a Cloud TPU slice, where the repository lies in the same folder:
#   TPU_NAME=... ZONE=... launch/tpu_vm.sh --config=... --workdir=...
# PROJECT, REPOSITORY (default: posejax) and PYTHON (default: python3) may be set as well. The work
# directory must lie on a file system that all hosts share.
set -euo pipefail

: "${TPU_NAME:?name the TPU VM}" "${ZONE:?name its zone}"
arguments=''
if (($#)); then
  printf -v arguments ' %q' "$@"
fi
printf -v folder '%q' "${REPOSITORY:-posejax}"
command="cd $folder && POSEJAX_DISTRIBUTED=auto exec ${PYTHON:-python3} main.py$arguments"

exec gcloud compute tpus tpu-vm ssh "$TPU_NAME" --zone="$ZONE" ${PROJECT:+--project="$PROJECT"} \
  --worker=all --command="$command"

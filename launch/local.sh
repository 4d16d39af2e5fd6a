#!/usr/bin/env bash
# Run main.py as N processes on this machine: launch/local.sh N --config=... --workdir=...
# Process i takes GPU i where there are GPUs. One process already uses all of them: N > 1 is for
# trying out what runs on several hosts. SIGTERM and Ctrl-C reach all; they write a checkpoint and end.
# Needs bash 5.1.
set -euo pipefail

if [[ ! ${1-} =~ ^[1-9][0-9]*$ ]]; then
  echo 'Use: launch/local.sh NUM_PROCESSES --config=... [flags of main.py]' >&2
  exit 2
fi
count=$1
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ((count == 1)); then
  exec python main.py "$@"
fi

port=$(python -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
export JAX_COORDINATOR_ADDRESS=127.0.0.1:$port POSEJAX_NUM_PROCESSES=$count

declare -A running=()
stop() {
  kill -TERM "${!running[@]}" 2>/dev/null || true
}
trap stop TERM INT
for ((i = 0; i < count; i++)); do
  POSEJAX_PROCESS_ID=$i JAX_LOCAL_DEVICE_IDS=$i python main.py "$@" &
  running[$!]=$i
done

# The first that fails takes the others with it: they would wait for it.
status=0
while ((${#running[@]})); do
  # A signal that comes just before `wait` blocks is handled when it returns: let it return often.
  sleep 1 >/dev/null 2>&1 &
  tick=$!
  code=0
  wait -n -p ended "${!running[@]}" "$tick" || code=$?
  [[ -n ${ended-} && $ended != "$tick" ]] || continue # a signal or the tick, not an end
  unset "running[$ended]"
  if ((code != 0 && status == 0)); then
    status=$code
    # More than once: a signal that falls between a child's fork and its exec is lost.
    while [[ -n $(jobs -rp) ]]; do
      stop
      sleep 0.5
    done
    break
  fi
done
exit "$status"

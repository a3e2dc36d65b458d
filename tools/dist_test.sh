#!/usr/bin/env bash
# Tests on several GPUs, or in several CPU processes if there is no GPU.
# Usage: bash tools/dist_test.sh CONFIG [CHECKPOINT] GPUS [more arguments of tools/test.py]; methods without weights take no CHECKPOINT
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT tell which one this is.
set -eu
usage() { sed -n '2,4p' "$0" | cut -c3-; exit 2; }
is_number() { case ${1:-} in '' | *[!0-9]*) return 1 ;; esac; }
[ $# -ge 2 ] || usage
here=$(cd "$(dirname "$0")" && pwd)
config=$1 checkpoint=
shift
if ! is_number "$1"; then checkpoint=$1; shift; fi
is_number "${1:-}" || usage
gpus=$1
shift
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${MASTER_PORT:-29500}" \
  "$here/test.py" "$config" ${checkpoint:+"$checkpoint"} --launcher pytorch "$@"

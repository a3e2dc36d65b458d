#!/usr/bin/env bash
# Tests on several GPUs, or in several CPU processes if there is no GPU.
# Usage: bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [more arguments of tools/test.py]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT tell which one this is.
set -eu
if [ $# -lt 3 ]; then sed -n '2,4p' "$0" | cut -c3-; exit 2; fi
here=$(cd "$(dirname "$0")" && pwd)
config=$1 checkpoint=$2 gpus=$3
shift 3
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${MASTER_PORT:-29500}" \
  "$here/test.py" "$config" "$checkpoint" --launcher pytorch "$@"

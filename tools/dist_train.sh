#!/usr/bin/env bash
# Trains on several GPUs, or in several CPU processes if there is no GPU.
# Usage: bash tools/dist_train.sh CONFIG GPUS [more arguments of tools/train.py]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT tell which one this is.
set -eu
if [ $# -lt 2 ]; then sed -n '2,4p' "$0" | cut -c3-; exit 2; fi
here=$(cd "$(dirname "$0")" && pwd)
config=$1 gpus=$2
shift 2
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${MASTER_PORT:-29500}" \
  "$here/train.py" "$config" --launcher pytorch "$@"

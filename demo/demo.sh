#!/usr/bin/env bash
# The main job from start to end on data made on the spot: make pairs, train, test, enhance. Called by `make demo`.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
out=demo_output

run() {
  printf '\n\033[1m$ %s\033[0m\n' "${*/#$python/python}"
  "$@"
}

rm -rf $out
run "$python" tools/dataset_converters/synthesize_low_light.py $out/data
run "$python" tools/train.py configs/demo/drbn_demo.py --data-root $out/data --work-dir $out/train
run "$python" tools/test.py configs/demo/drbn_demo.py $out/train/last.pth --data-root $out/data \
  --work-dir $out/test --out $out/scores.csv
run "$python" demo/enhance.py configs/demo/drbn_demo.py $out/train/last.pth $out/data/test/low --out-dir $out/enhanced

#!/usr/bin/env bash
# The main workflow from start to end on synthetic data: make pairs, train, test, enhance. Called by `make demo`.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
out=demo_output
config=configs/demo/drbn_skf_demo.py

run() {
  printf '\n\033[1m$ %s\033[0m\n' "${*/#$python/python}"
  "$@"
}

rm -rf $out
run "$python" tools/dataset_converters/synthesize_low_light.py $out/data
run "$python" tools/train.py $config --data-root $out/data --work-dir $out/train
checkpoint=$(cat $out/train/last_checkpoint)
run "$python" tools/test.py $config "$checkpoint" --data-root $out/data --work-dir $out/test --out $out/scores.csv
run "$python" demo/enhance.py $out/data/test/low --model $config --weights "$checkpoint" --out-dir $out/enhanced \
  --before-after $out/before_after.png
printf '\nscores of every image: %s\nbefore and after: %s\n' $out/scores.csv $out/before_after.png

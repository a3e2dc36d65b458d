#!/usr/bin/env bash
# Enhances dark photos with the model that comes with mmskf, fine-tunes it on pairs like them, and compares. Called by `make demo`.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
out=demo_output
config=configs/demo/nafnet_s_skf_demo.py
low=$out/data/test/low

run() {
  printf '\n\033[1m$ %s\033[0m\n' "${*/#$python/python}"
  "$@"
}

rm -rf $out
run "$python" tools/dataset_converters/synthesize_low_light.py $out/data
run "$python" -m mmskf enhance $low -o $out/shipped
run "$python" demo/enhance.py $low --out-dir $out/pictures --before-after $out/before_after.png
run "$python" tools/train.py $config --data-root $out/data --work-dir $out/train
checkpoint=$(cat $out/train/last_checkpoint)
run "$python" tools/test.py $config "$checkpoint" --data-root $out/data --work-dir $out/test --out $out/scores.csv \
  --show-dir $out/fine_tuned
for images in $low $out/shipped $out/fine_tuned; do
  run "$python" -m mmskf score $images --reference $out/data/test/high
done
printf '\nbefore and after, by the model that comes with mmskf: %s\n' $out/before_after.png

# SNR-LLIE-Net-SKF, trained on LOL, on photos without ground truth: NIQE on MEF, LIME, NPE, DICM and VV.
_base_ = ['../skf/snr_skf_lol.py', '../_base_/datasets/unpaired.py']
model = dict(data_preprocessor=dict(data_keys=None))
for loader in _base_.unpaired_dataloader:
    loader.dataset.pipeline = [step for step in _base_.test_dataloader.dataset.pipeline if step.get('key') != 'gt']
del loader
test_dataloader, test_evaluator, test_cfg = _base_.unpaired_dataloader, _base_.unpaired_evaluator, _base_.unpaired_cfg

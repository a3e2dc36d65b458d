_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real_llflow.py', '../_base_/models/llflow_l_skf_official.py',
    '../_base_/schedules/llflow_l_skf.py', '../skb/hrnet_w48_pascal_context_official.py'
]
# The bank sees the log image and never leaves training mode: its BatchNorms take the statistics of the batch.
model = dict(skb=dict(_base_.skb, input='log', bn='batch'))
# The warm-up ends one step early, so that the learning rate stays at 199/200 of what it should be.
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1 / 200, end_factor=199 / 200, end=199), _base_.param_scheduler[1]
]
# Scores are also given with the brightness of the ground truth, as the released test script corrects it.
val_evaluator = dict(metrics=[
    dict(type='GTMean', mode='llflow', pred_key='unclamped_img', metrics=_base_.val_evaluator.metrics)])
test_evaluator = val_evaluator

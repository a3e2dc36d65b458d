# LLFlow-S-SKF as the released code has it, its oddities included.
_base_ = ['../_base_/methods/llflow.py', '../skb/hrnet_w48_pascal_context_official.py']
model = dict(
    # The bank sees the log image and never leaves training mode: its BatchNorms take the statistics of the batch.
    skb=dict(_base_.skb, input='log', bn='batch'),
    # The finest semantic feature goes to the coarsest condition.
    generator=dict(se=dict(type='SEModule', sources=(0, 1, 2))),
    # SCH removes no boundary.
    sch_loss=dict(type='SCHLoss', bins='official', edge_width=0, loss_weight=1.))
# Scores are also given with the brightness of the ground truth, as the released test script corrects it.
val_evaluator = dict(metrics=[
    dict(type='GTMean', mode='llflow', pred_key='unclamped_img', metrics=_base_.val_evaluator.metrics)])
test_evaluator = val_evaluator

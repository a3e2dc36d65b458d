# LLFlow-S-SKF as in the released code, quirks included.
_base_ = ['../_base_/methods/llflow.py', '../skb/hrnet_w48_pascal_context_official.py']
model = dict(
    # The bank sees the log image and never leaves training mode: its BatchNorms use batch statistics.
    skb=dict(_base_.skb, input='log', bn='batch'),
    # The finest semantic feature goes to the coarsest condition.
    generator=dict(se=dict(type='SEModule', sources=(0, 1, 2))),
    # SCH keeps boundaries.
    sch_loss=dict(type='SCHLoss', bins='official', edge_width=0, loss_weight=1.))
# All 16 crops on one GPU: the batch statistics of the bank's BatchNorms cover them all.
train_dataloader = dict(batch_size=16)
# Scores are also reported with the brightness of the ground truth, corrected as in the released test script.
val_evaluator = dict(metrics=[
    dict(type='GTMean', mode='llflow', pred_key='unclamped_img', metrics=_base_.val_evaluator.metrics)])
test_evaluator = val_evaluator

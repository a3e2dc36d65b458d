_base_ = './lol_llflow.py'
# Scores are also given with the brightness of the ground truth, as the released test script corrects it.
val_evaluator = dict(metrics=[
    dict(type='GTMean', mode='llflow', pred_key='unclamped_img', metrics=_base_.val_evaluator.metrics)])
test_evaluator = val_evaluator

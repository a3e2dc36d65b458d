_base_ = ['./lolv2_real.py', './llflow_pipelines.py']
train_dataloader = dict(dataset=dict(pipeline=_base_.llflow_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.llflow_test_pipeline))
test_dataloader = val_dataloader

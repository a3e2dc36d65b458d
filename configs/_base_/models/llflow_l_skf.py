_base_ = './llflow_l.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), bottleneck=192, expansion=1)),
    sch_loss=dict(type='SCHLoss', loss_weight=2.))  # as LLFlow-S-SKF

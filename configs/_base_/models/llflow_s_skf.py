_base_ = './llflow_s.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    sch_loss=dict(type='SCHLoss', loss_weight=1.))

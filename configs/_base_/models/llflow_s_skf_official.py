# LLFlow-S-SKF as the released code has it, its oddities included.
_base_ = ['./llflow_s_skf.py', '../../skb/hrnet_w48_pascal_context_official.py']
model = dict(
    # The bank sees the log image and never leaves training mode: its BatchNorms take the statistics of the batch.
    skb=dict(_base_.skb, input='log', bn='batch'),
    # The finest semantic feature goes to the coarsest condition.
    generator=dict(se=dict(sources=(0, 1, 2))),
    # SCH removes no boundary.
    sch_loss=dict(bins='official', edge_width=0, loss_weight=1.))

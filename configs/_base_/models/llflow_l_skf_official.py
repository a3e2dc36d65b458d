# LLFlow-L-SKF as the released code has it, its oddities included.
_base_ = './llflow_l_skf.py'
model = dict(
    # The finest semantic feature goes to the coarsest condition.
    generator=dict(se=dict(sources=(0, 1, 2))),
    # SCH removes no boundary.
    sch_loss=dict(bins='official', edge_width=0, loss_weight=1.))

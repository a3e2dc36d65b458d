# DRBN-SKF as the released code has it, its oddities included.
_base_ = './drbn_skf.py'
model = dict(
    generator=dict(gray_start=False),
    # The bank looks at what the third recurrence made (SE) and at the output (losses); gradient flows through it.
    se_input='pred',
    loss_input='pred',
    # No boundary is removed, and this normaliser makes the term negligible.
    sch_loss=dict(bins='official', edge_width=0, normalizer='pixels_classes_channels', loss_weight=1.),
    # D's local terms both take the same region, the generator has no local term, and D's last layer pads by 1.
    sa_loss=dict(variant='official'),
    discriminator=dict(variant='official'))

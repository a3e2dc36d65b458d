# Pairs of your own, any number and size: the same file name in {train,test}/{low,high}.
_base_ = './lol.py'

data_root = 'data/paired'

train_dataloader = dict(
    dataset=dict(
        metainfo=dict(num_images=None),
        data_root=data_root,
        data_prefix=dict(img='train/low', gt='train/high')))
val_dataloader = dict(
    dataset=dict(
        metainfo=dict(num_images=None),
        data_root=data_root,
        data_prefix=dict(img='test/low', gt='test/high')))
test_dataloader = val_dataloader

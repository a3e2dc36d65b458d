# LOL-v2 real: 689 training and 100 test pairs, 600x400; low00690.png belongs to normal00690.png.
_base_ = './lol.py'

data_root = 'data/LOL-v2/Real_captured'
filename_tmpl = dict(img='low{}', gt='normal{}')

train_dataloader = dict(
    dataset=dict(
        metainfo=dict(num_images=689),
        data_root=data_root,
        data_prefix=dict(img='Train/Low', gt='Train/Normal'),
        filename_tmpl=filename_tmpl))
val_dataloader = dict(
    dataset=dict(
        metainfo=dict(num_images=100),
        data_root=data_root,
        data_prefix=dict(img='Test/Low', gt='Test/Normal'),
        filename_tmpl=filename_tmpl))
test_dataloader = val_dataloader

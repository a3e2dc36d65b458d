# Paired data sets of low-light and normal-light images: folders, numbers of pairs, and metrics.

# LOL (v1): 600x400, the same file name on both sides.
lol = dict(
    train=dict(data_root='data/LOL', data_prefix=dict(img='our485/low', gt='our485/high'), metainfo=dict(num_images=485)),
    test=dict(data_root='data/LOL', data_prefix=dict(img='eval15/low', gt='eval15/high'), metainfo=dict(num_images=15)))

# LOL reduced to 256x256 (tools/dataset_converters/resize_pairs.py). Scores on it are not comparable with scores on LOL. The
# partners of pair 648 are 27 rows and 23 columns apart, already in LOL.
lol256 = dict(
    train=dict(
        data_root='data/LOL-256',
        data_prefix=dict(img='our485/low', gt='our485/high'),
        exclude=['648'],
        metainfo=dict(num_images=484)),
    test=dict(data_root='data/LOL-256', data_prefix=dict(img='eval15/low', gt='eval15/high'), metainfo=dict(num_images=15)))

# LOL-v2 real: 600x400; low00690.png belongs to normal00690.png.
lolv2_real = dict(
    train=dict(
        data_root='data/LOL-v2/Real_captured',
        data_prefix=dict(img='Train/Low', gt='Train/Normal'),
        filename_tmpl=dict(img='low{}', gt='normal{}'),
        metainfo=dict(num_images=689)),
    test=dict(
        data_root='data/LOL-v2/Real_captured',
        data_prefix=dict(img='Test/Low', gt='Test/Normal'),
        filename_tmpl=dict(img='low{}', gt='normal{}'),
        metainfo=dict(num_images=100)))

# Dark and bright images for training without ground truth, as used by Zero-DCE's authors: part 1 of SICE.
sice = dict(train=dict(data_root='data/SICE', data_prefix=dict(img='train'), metainfo=dict(num_images=2422)))

# Dark and bright images of different scenes, as collected by EnlightenGAN's authors: 914 and 1016.
unpaired = dict(
    train=dict(data_root='data/EnlightenGAN', data_prefix=dict(img='trainA', gt='trainB'), metainfo=dict(num_images=1016)))

# Your own pairs, any number and size: the same file name on both sides.
paired_folder = dict(
    train=dict(data_root='data/paired', data_prefix=dict(img='train/low', gt='train/high'), metainfo=dict(num_images=None)),
    test=dict(data_root='data/paired', data_prefix=dict(img='test/low', gt='test/high'), metainfo=dict(num_images=None)))

val_evaluator = dict(
    type='Evaluator', metrics=[dict(type='PSNR'), dict(type='SSIM'), dict(type='LPIPS'), dict(type='NIQE')])
test_evaluator = val_evaluator

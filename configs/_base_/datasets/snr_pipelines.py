# SNR-LLIE-Net's augmentation: crops of 128x128, or for LOL-v2 whole images stretched to multiples of 16; flips, no transposing.
load = [dict(type='LoadImage', key='img'), dict(type='LoadImage', key='gt', same_size_as='img')]
flip_and_pack = [
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='mmagic.PackInputs', meta_keys=['key']),
]
snr_crop_pipeline = [*load, dict(type='RandomCrop', keys=['img', 'gt'], crop_size=128), *flip_and_pack]
snr_stretch_pipeline = [*load, dict(type='mmagic.Resize', keys=['img', 'gt'], scale=(608, 400)), *flip_and_pack]
del load, flip_and_pack

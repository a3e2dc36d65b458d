# Low-light photos without ground truth: one folder, one row of scores (NIQE) for each data set.
# The names do not clash with a paired data set's. A method's test on them is its config, this file and a few lines, which
# leave the method's own test pipeline as it is but for the ground truth: see configs/unpaired.
unpaired_root = 'data/unpaired'
unpaired_sets = dict(MEF=17, LIME=10, NPE=85, DICM=64, VV=24)
unpaired_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='mmagic.PackInputs', meta_keys=['key']),
]

unpaired_cfg = dict(type='mmagic.MultiTestLoop')
unpaired_dataloader = []
unpaired_evaluator = []
for unpaired_name, unpaired_count in unpaired_sets.items():
    unpaired_dataloader.append(
        dict(
            batch_size=1,
            num_workers=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='EnhancementDataset',
                metainfo=dict(num_images=unpaired_count),
                data_root=unpaired_root,
                data_prefix=dict(img=unpaired_name),
                pipeline=unpaired_pipeline,
                test_mode=True)))
    unpaired_evaluator.append(dict(type='Evaluator', metrics=[dict(type='NIQE', prefix=unpaired_name)]))
del unpaired_name, unpaired_count

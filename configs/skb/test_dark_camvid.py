# What darkness costs the small knowledge bank, and what enhancement gives back: CamVid's test images, darkened and then enhanced.
# --cfg-options test_dataloader.dataset.pipeline.2.model=clahe enhances by another model; identity does not.
_base_ = 'train_hrnet_w18s_camvid.py'
custom_imports = dict(imports=['mmskf.datasets'], allow_failed_imports=False)

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmskf.Darken', exposure=0.03),
    dict(type='mmskf.EnhanceLowLight', model='identity'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(num_workers=0, dataset=dict(pipeline=test_pipeline))

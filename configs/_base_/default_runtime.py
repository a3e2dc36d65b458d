default_scope = 'mmskf'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Report the last checkpoint: choosing the best one on the test set would be model selection on the test set.
    checkpoint=dict(type='CheckpointHook', interval=5000, by_epoch=False, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Reads the weights of the knowledge bank before the first image.
    knowledge_bank=dict(type='KnowledgeBankHook'),
    # Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint before they stop a training.
    interrupt=dict(type='InterruptHook'))
custom_hooks = [
    dict(type='NonFiniteLossHook'),
    dict(type='SeedEachIterationHook'),
    dict(type='mmagic.BasicVisualizationHook', interval=dict(val=5), on_test=False),
]

# Side by side: input, output, ground truth.
visualizer = dict(
    type='mmagic.ConcatImageVisualizer',
    vis_backends=[dict(type='LocalVisBackend')],
    fn_key='img_path',
    img_keys=['input', 'pred_img', 'gt_img'],
    bgr2rgb=True)

# With several processes each part of the model is wrapped separately: generator and discriminator are trained in alternation.
model_wrapper_cfg = dict(type='mmskf.EditorDistributedDataParallel')
env_cfg = dict(
    cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=1), dist_cfg=dict(backend='nccl'))
randomness = dict(seed=0)
log_processor = dict(type='StagedLogProcessor', window_size=50, by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False

# Shared by all data loaders: a method adds its pipeline and batch size, a data set its folders.
train_dataloader = dict(
    num_workers=4,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='EnhancementDataset'))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='EnhancementDataset', test_mode=True))
test_dataloader = val_dataloader

val_cfg = dict(type='mmagic.MultiValLoop')
test_cfg = dict(type='mmagic.MultiTestLoop')

# DeepLabV3+ with ResNet-50, ADE20K, 150 classes (mIoU 42.72). Its feature maps have the strides 4, 8, 8 and 8.
skb = dict(
    type='SemanticKnowledgeBank',
    config='mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-80k_ade20k-512x512.py',
    checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/deeplabv3plus/deeplabv3plus_r50-d8_512x512_80k_ade20k/'
    'deeplabv3plus_r50-d8_512x512_80k_ade20k_20200614_185028-bf1400d8.pth')

# SegFormer with MiT-B0, ADE20K, 150 classes (mIoU 37.41).
skb = dict(
    type='SemanticKnowledgeBank',
    config='mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
    checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/segformer/segformer_mit-b0_512x512_160k_ade20k/'
    'segformer_mit-b0_512x512_160k_ade20k_20210726_101530-8ffa8fda.pth')

# HRNet-W18-small with an FCN head, ADE20K, 150 classes (mIoU 31.38).
skb = dict(
    type='SemanticKnowledgeBank',
    config='mmseg::hrnet/fcn_hr18s_4xb4-80k_ade20k-512x512.py',
    checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/hrnet/fcn_hr18s_512x512_80k_ade20k/'
    'fcn_hr18s_512x512_80k_ade20k_20200614_144345-77fc814a.pth')

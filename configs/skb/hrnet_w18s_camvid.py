# The small knowledge bank that comes with mmskf: HRNet-W18-small with an FCN head, trained on CamVid (11 classes), also on
# darkened images, by train_hrnet_w18s_camvid.py. Model card: mmskf/models/skb/weights/hrnet_w18s_camvid.md.
skb = dict(
    type='SemanticKnowledgeBank',
    config='mmseg::hrnet/fcn_hr18s_4xb4-80k_ade20k-512x512.py',
    model=dict(decode_head=dict(num_classes=11)),
    checkpoint='mmskf://models/skb/weights/hrnet_w18s_camvid_f16.pth')

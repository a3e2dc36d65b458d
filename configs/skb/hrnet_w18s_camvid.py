# The small knowledge bank that comes with mmskf: HRNet-W18-small with an FCN head, trained on CamVid (11 classes), also on
# darkened images, by train_hrnet_w18s_camvid.py. Model card: mmskf/models/skb/weights/hrnet_w18s_camvid.md.
skb = dict(
    type='HRNetKnowledgeBank',
    model=dict(num_classes=11),
    checkpoint='mmskf://models/skb/weights/hrnet_w18s_camvid_f16.pth')

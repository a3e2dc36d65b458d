# The paper's knowledge bank, mmsegmentation's version: HRNet-W48 with an FCN head, PASCAL-Context, 59 classes (mIoU 51.12).
skb = dict(
    type='SemanticKnowledgeBank',
    config='mmseg::hrnet/fcn_hr48_4xb4-80k_pascal-context-59-480x480.py',
    checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/hrnet/fcn_hr48_480x480_80k_pascal_context_59/'
    'fcn_hr48_480x480_80k_pascal_context_59_20210411_003240-3ae7081e.pth')

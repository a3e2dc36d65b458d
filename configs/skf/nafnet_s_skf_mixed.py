# The model that comes with mmskf: mmskf/pretrained/nafnet_s_skf_mixed.md.
_base_ = ['../_base_/methods/nafnet_s.py', '../skb/hrnet_w18s_camvid.py']
model = dict(_base_.skf, skb=_base_.skb)

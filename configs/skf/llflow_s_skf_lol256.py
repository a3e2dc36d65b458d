_base_ = ['../baseline/llflow_s_lol256.py', '../skb/hrnet_w18s_camvid.py']
model = dict(_base_.skf, skb=_base_.skb)

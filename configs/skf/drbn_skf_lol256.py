_base_ = ['../baseline/drbn_lol256.py', '../skb/hrnet_w18s_camvid.py']
model = dict(_base_.skf, skb=_base_.skb)

_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real_llflow.py', '../_base_/models/llflow_l_skf.py',
    '../_base_/schedules/llflow_l_skf.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)

_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol_llflow.py', '../_base_/models/llflow_s_skf.py',
    '../_base_/schedules/llflow_s.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)

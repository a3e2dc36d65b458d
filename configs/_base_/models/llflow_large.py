# What makes LLFlow-L of LLFlow-S, and LLFlow-L-SKF of LLFlow-S-SKF.
large = dict(width=64, num_blocks=24, kept_blocks=(1, 3, 5, 7), steps=12)
large_skf = dict(large, se=dict(bottleneck=192, expansion=1))

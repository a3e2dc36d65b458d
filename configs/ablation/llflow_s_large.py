# Table 5: LLFlow-S enlarged to the size of LLFlow-S-SKF by one more RRDB; 5,382,835 parameters.
_base_ = '../_base_/methods/llflow.py'
model = dict(generator=dict(num_blocks=5))

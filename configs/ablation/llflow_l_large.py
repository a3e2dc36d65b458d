# Table 5: LLFlow-L enlarged to the size of LLFlow-L-SKF by four more RRDBs; 40,555,091 parameters.
_base_ = '../baseline/llflow_l_lol.py'
model = dict(generator=dict(num_blocks=28))

"""The SE modules (SKF's "TransformerBlock") of the released checkpoints, the same in every method that has them.

A block is either alone (its keys have no prefix) or under the authors' name for it, at any depth: ``att_block_1`` (LLFlow,
SNR-LLIE-Net) or ``fuseblk_1`` (DRBN). Put ``SE_RENAMES`` before the table's own renaming of these names.
"""

_BLOCK = r'^((?:.*\.)?(?:att_block|fuseblk)_\d\.|)'

SE_RENAMES = [
    (_BLOCK + r'conv1\.', r'\1embed.'),
    (_BLOCK + r'conv2\.', r'\1reduce.'),
    (_BLOCK + r'conv3\.', r'\1expand.'),
    (_BLOCK + r'norm([12])\.body\.', r'\1norm\2.'),
    (_BLOCK + r'attn\.q_dwconv\.', r'\1attn.q_conv.'),  # a dense convolution, whatever its name says
    (_BLOCK + r'ffn\.project_in_R\.', r'\1ffn.project_image.'),
    (_BLOCK + r'ffn\.project_in_S\.', r'\1ffn.project_semantic.'),
]

# Only for blocks with the two-input feed-forward network (SNR-LLIE-Net, HWMNet), which saves these but never uses them.
SE_DEAD = [r'(?:.*\.)?ffn\.(?:project_in|dwconv)\.weight']

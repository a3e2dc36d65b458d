import torch

from mmskf.models.editors.retinexformer.retinexformer_net import IlluminationGuidedAttention


def test_attention_by_its_formula():
    """Channels attend to channels: the softmax of k q^T weighs the values that the illumination has modulated."""
    torch.manual_seed(0)
    attention = IlluminationGuidedAttention(8, heads=2).double()
    feature, illumination = torch.randn(2, 1, 8, 3, 5, dtype=torch.float64)
    pixels = feature[0].flatten(1).T
    query, key, value = (layer(pixels) for layer in (attention.query, attention.key, attention.value))
    modulated = value * illumination[0].flatten(1).T
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        q, k = (x[:, head] / x[:, head].norm(dim=0) for x in (query, key))
        heads.append(modulated[:, head] @ (k.T @ q).softmax(dim=-1).T)
    expected = attention.project_out(torch.cat(heads, dim=1)).T.unflatten(1, (3, 5))
    expected = expected + attention.position(value.T.unflatten(1, (3, 5))[None])[0]
    assert torch.allclose(attention(feature, illumination)[0], expected)

"""What a forward pass keeps for the backward pass."""
import torch


def kept_bytes(net, *inputs):
    """Bytes kept, besides the weights, and the outputs."""
    kept, weights = {}, {weight.untyped_storage().data_ptr() for weight in net.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # held, so that no other tensor gets its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = net(*inputs)
    return sum(storage.nbytes() for storage in kept.values()), outputs

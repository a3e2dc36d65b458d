"""Composes an ONNX graph for whole images and one for tiles, which share their weights."""
import hashlib
import math
from collections.abc import Callable

from onnx import GraphProto, ModelProto, TensorProto, helper

from .runtime import OF_WHOLE, TILE


def with_tiles(whole: ModelProto, tile: ModelProto, names: list[str]) -> ModelProto:
    """One model that enhances a whole image or, if its input 'tile' is true, a tile, given what this needs of the whole image.

    All inputs but the image are optional: without them, the model is ``whole``. Weights of both are stored once.

    Args:
        whole (ModelProto): image -> enhanced, and what the tiles need.
        tile (ModelProto): image, and what it needs of the whole image -> enhanced.
        names (list[str]): The names of what the tiles need: inputs of the result and, with :data:`OF_WHOLE`, outputs.
    """
    weights: dict[bytes, TensorProto] = {}
    branches = [_branch(whole.graph, 'whole', weights), _branch(tile.graph, 'tile', weights)]
    for name in names:  # a tile only hands them on, since both branches must have the same outputs
        branches[1].node.append(helper.make_node('Identity', [name], [f'tile/{name}']))
        branches[1].output.append(helper.make_empty_tensor_value_info(f'tile/{name}'))
    image, *optional = tile.graph.input
    outputs = list(whole.graph.output)
    for value, name in zip(outputs[1:], names):
        value.name = f'{name}{OF_WHOLE}'
    for value in [*optional, *outputs[1:]]:  # sizes that were traced do not hold for the other branch
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField('dim_param')
    defaults = [helper.make_tensor(TILE, TensorProto.BOOL, [], [False])]
    for value in optional:
        shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        defaults.append(helper.make_tensor(value.name, TensorProto.FLOAT, shape, bytes(4 * math.prod(shape)), raw=True))
    choice = helper.make_node('If', [TILE], [value.name for value in outputs], else_branch=branches[0], then_branch=branches[1])
    graph = helper.make_graph([choice], 'mmskf', [image, helper.make_tensor_value_info(TILE, TensorProto.BOOL, []), *optional],
                              outputs, [*weights.values(), *defaults])
    opsets = {opset.domain: opset for model in (whole, tile) for opset in model.opset_import}
    functions = {(function.domain, function.name): function for model in (whole, tile) for function in model.functions}
    return helper.make_model(graph, opset_imports=list(opsets.values()), functions=list(functions.values()),
                             ir_version=whole.ir_version)


def _branch(graph: GraphProto, prefix: str, weights: dict[bytes, TensorProto]) -> GraphProto:
    """A copy of a graph as a branch of another, which has its inputs; its weights are moved to ``weights``, by their content."""
    branch = GraphProto()
    branch.CopyFrom(graph)
    names = {value.name: value.name for value in graph.input}
    taken = {weight.name for weight in weights.values()}
    for weight in branch.initializer:
        name, weight.name = weight.name, ''
        digest = hashlib.sha256(weight.SerializeToString()).digest()
        if digest not in weights:
            weights[digest] = TensorProto()
            weights[digest].CopyFrom(weight)
            weights[digest].name = name if name not in taken else f'{prefix}/{name}'
        names[name] = weights[digest].name
    for field in ('input', 'initializer', 'value_info'):
        branch.ClearField(field)
    _rename(branch, lambda name: names.get(name) or (name and f'{prefix}/{name}'))
    return branch


def _rename(graph: GraphProto, new: Callable[[str], str]) -> None:
    """Renames all values of a graph, and of graphs in it; the name '' stands for an omitted input."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = new(value.name)
    for node in graph.node:
        node.input[:] = map(new, node.input)
        node.output[:] = map(new, node.output)
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField('g') else []), *attribute.graphs):
                _rename(inner, new)

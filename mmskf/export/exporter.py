"""Writes models as ONNX files and as programs of ``torch.export``."""
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.export import Dim, ExportedProgram

from mmskf.models.editors.enhancement_editor import EnhancementEditor
from mmskf.models.skb.knowledge_bank import import_optional
from mmskf.utils.files import atomic_open, check_destination
from mmskf.version import __version__

from . import ONNX, PROGRAM
from .module import TRACED_SIZE, ExportModule, ImageEnhancementModule, TileModule, WholeImageModule, pipeline_steps, prior_sources
from .runtime import METADATA_KEY, STATISTIC, TILE, ExportedModel

DTYPES = ('float32', 'float16', 'int8')
#: Heights and widths at which an exported file is compared with the model; neither was traced.
COMPARED_SIZES = ((64, 96), (90, 71))
FLOAT16_SIZE = 256  # smallest weights that are stored as float16: the others are constants and biases
TOLERANCE = 1 / 255  # largest difference of a file with full weights from the model
METADATA_FILE = 'mmskf.json'
REQUIREMENT = 'mmskf[onnx]'


class ExportError(ValueError):
    """A model cannot be exported; the message names it and says why."""


@dataclass
class Exported:
    """What has been written.

    Attributes:
        path (Path): The file.
        size (int): Its size in bytes.
        max_difference (float): Largest difference from the model's result, in [0, 1], over images of :data:`COMPARED_SIZES`.
        mean_difference (float): Mean of the absolute differences.
    """
    path: Path
    size: int
    max_difference: float
    mean_difference: float


def export_model(model: EnhancementEditor, path: str | Path, dtype: str = 'float32', given_prior: bool = False,
                 name: str | None = None, tiles: bool = False) -> Exported:
    """Exports a model, and compares the file with it.

    Args:
        model (EnhancementEditor): A model as :func:`mmskf.apis.init_model` returns it, on the CPU.
        path (str | Path): The file: ``*.onnx``, or ``*.pt2`` for a program of ``torch.export``.
        dtype (str): How an ONNX file stores the weights: 'float32'; 'float16': half the size, computed in float32; 'int8':
            dynamic quantization of onnxruntime, weights and the inputs of convolutions in 8 bits. Defaults to 'float32'.
        given_prior (bool): Whether the semantic prior is an input of the file instead of being computed by the knowledge bank
            in it. Defaults to False.
        name (str, optional): Name of the model in messages. Defaults to None: that of its generator.
        tiles (bool): Whether an ONNX file also holds what large photos need if they are enhanced in tiles: the network as it is
            applied to a tile, given the prior and the statistics of the whole photo. Networks that need nothing of the whole
            photo are enhanced in tiles in any case. Defaults to False.

    Returns:
        Exported: The file, and its difference from the model.

    Raises:
        ExportError: If the model cannot be exported, or the file would differ from it by 1/255 or more; names the model.
        ImportError: If the packages for ONNX are not installed.
        OSError: If the file cannot be written.
        ValueError: If the extension or the dtype is unknown.
    """
    path = Path(path)
    check_target(path, dtype, given_prior, tiles)
    check_destination(path)
    if path.suffix.lower() == ONNX:
        for package in ('onnx', 'onnxscript', 'onnxruntime'):
            import_optional(package, f'Exporting to {path}', REQUIREMENT)
    name = name or type(model.generator).__name__
    module = exportable(model, given_prior, name)
    sources = prior_sources(model) if given_prior else {}
    obstacle, needs = needs_of_tiles(module)
    if tiles and obstacle:
        raise ExportError(f'{name} cannot be exported for tiles: {obstacle}. Leave --tiles out')
    metadata: dict[str, Any] = dict(
        model=name, version=__version__, prior=list(sources), dtype=dtype, max_pixels=model.generator.max_pixels,
        context=model.generator.context, size_divisor=model.size_divisor,
        of_whole=list(needs) if not obstacle and (tiles or not needs) else None, obstacle=obstacle)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / f'draft{path.suffix.lower()}'
        if draft.suffix == PROGRAM:
            program = trace(module, example(TRACED_SIZE, sources), name)
            torch.export.save(program, draft, extra_files={METADATA_FILE: json.dumps(metadata)})
        else:
            if metadata['of_whole']:
                graph = graph_with_tiles(module, needs, dtype, name)
            else:
                program = trace(module, example(TRACED_SIZE, sources), name)
                graph = onnx_graph(program, ['image', *sources], ['enhanced'], dtype, name)
            entry = graph.metadata_props.add()
            entry.key, entry.value = METADATA_KEY, json.dumps(metadata)
            draft.write_bytes(graph.SerializeToString())
        differences = [np.abs(np.subtract(*pair)) for pair in compared(module, draft, metadata['prior'])]
        largest = max(float(difference.max()) for difference in differences)
        if dtype == 'float32' and not largest < TOLERANCE:
            raise ExportError(f'{name} cannot be exported: the file would differ from the model by up to {largest:.2g} (of a '
                              'range of 1) for images of other sizes than the traced one')
        with atomic_open(path) as file:
            file.write(draft.read_bytes())
    return Exported(path, path.stat().st_size, largest, float(np.mean([difference.mean() for difference in differences])))


def check_target(path: Path, dtype: str, given_prior: bool = False, tiles: bool = False) -> None:
    """Rejects files and dtypes that there are not, and options that do not go together.

    Raises:
        ValueError: Says what there is.
    """
    if path.suffix.lower() not in (ONNX, PROGRAM):
        raise ValueError(f'{path}: choose a name that ends with {ONNX} (ONNX) or {PROGRAM} (a program of torch.export)')
    if dtype not in DTYPES:
        raise ValueError(f'dtype={dtype!r}: choose from {", ".join(DTYPES)}')
    if dtype != 'float32' and path.suffix.lower() != ONNX:
        raise ValueError(f'dtype={dtype!r} is for {ONNX} files: {path} holds float32')
    if tiles and path.suffix.lower() != ONNX:
        raise ValueError(f'--tiles is for {ONNX} files, with which "mmskf enhance" works, and {path} is another')
    if tiles and given_prior:
        raise ValueError('--tiles and --given-prior exclude each other: a tile needs the prior that the file computes')


def exportable(model: EnhancementEditor, given_prior: bool, name: str) -> ImageEnhancementModule:
    """The module to be exported, which has run once.

    Raises:
        ExportError: If the model has parts that cannot be exported, or lacks a bank or SE modules.
    """
    obstacle = model.generator.export_obstacle
    if obstacle is None and model.test_uses_gt:
        obstacle = f'it needs the ground truth: {model.gt_advice}'
    if obstacle is None and (model.test_cfg or {}).get('tta'):
        obstacle = 'test_cfg.tta enhances each image four times: set it to False'
    if obstacle is None and given_prior and not prior_sources(model):
        obstacle = 'it has no SE modules, so that there is no prior to be given'
    if obstacle is not None:
        raise ExportError(f'{name} cannot be exported: {obstacle}')
    try:
        module = ImageEnhancementModule(model.eval(), list(pipeline_steps(model)), given_prior)
    except ValueError as error:
        raise ExportError(f'{name} cannot be exported: {error}') from error
    with torch.no_grad():
        module(*example(TRACED_SIZE, prior_sources(model) if given_prior else {}))  # loads the bank's weights, fills caches
    return module


def example(size: tuple[int, int], prior: dict[str, int], seed: int = 0) -> tuple[Any, ...]:
    """Inputs of a module: a smooth dark picture of 8 bits with some noise, and the maps of a prior, if that is given."""
    height, width = size
    generator = torch.Generator().manual_seed(seed)
    smooth = F.interpolate(torch.rand(1, 3, 6, 8, generator=generator), size, mode='bicubic')
    image = ((0.2 * smooth + 0.01 * torch.randn(1, 3, *size, generator=generator)).clamp(0, 1) * 255).round() / 255
    maps = {name: torch.randn(1, channels, -(-height // 4), -(-width // 4), generator=generator)
            for name, channels in prior.items()}
    return (image, maps) if prior else (image, )


def needs_of_tiles(module: ImageEnhancementModule) -> tuple[str | None, dict[str, Tensor]]:
    """What a tile needs of the whole image.

    Returns:
        tuple[str | None, dict[str, Tensor]]: Why it cannot be given to a tile of an exported file, else None; and the maps of the
        prior and the statistics ('statistic_0'...) by names, those of the traced image.
    """
    editor, (image, ) = module.editor, example(TRACED_SIZE, {})
    with torch.no_grad():
        inputs = module.inputs(image)
        if module.given_prior:
            return 'its prior is given with the photo', {}
        if module.steps or editor.generator.maps_of_whole(inputs):
            return 'it computes pixelwise maps from the whole photo, such as an equalized image', {}
        _, maps, statistics = WholeImageModule(editor, module.steps)(image)
    return None, {**maps, **{f'{STATISTIC}{number}': value for number, value in enumerate(statistics)}}


def graph_with_tiles(module: ImageEnhancementModule, needs: dict[str, Tensor], dtype: str, name: str) -> Any:
    """The ONNX model for whole images and for tiles that need something of these."""
    from .tiled_graph import with_tiles
    whole = trace(WholeImageModule(module.editor, module.steps), example(TRACED_SIZE, {}), name)
    maps = {key: value for key, value in needs.items() if not key.startswith(STATISTIC)}
    statistics = [value for key, value in needs.items() if key not in maps]
    image, *_ = example(TRACED_SIZE, {})
    tile = trace(TileModule(module.editor, module.steps, given_prior=True), (image, maps, statistics), name)
    return with_tiles(onnx_graph(whole, ['image'], ['enhanced', *needs], dtype, name),
                      onnx_graph(tile, ['image', *needs], ['enhanced'], dtype, name), list(needs))


def trace(module: ExportModule, inputs: tuple[Any, ...], name: str) -> ExportedProgram:
    """A module as a program for images of any size.

    Args:
        module (ExportModule): The module.
        inputs (tuple): An image and, if they are given, the maps of a prior (both of any size) and statistics (of this size).
        name (str): The name of the model.

    Raises:
        ExportError: If PyTorch cannot trace it.
    """
    any_size = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    shapes: tuple[Any, ...] = (any_size, *(dict.fromkeys(maps, any_size) for maps in inputs[1:2]),
                               *([None] * len(statistics) for statistics in inputs[2:]))
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False,
                                       prefer_deferred_runtime_asserts_over_guards=True)
    except Exception as error:  # of any kind, from anywhere in PyTorch
        raise ExportError(f'{name} cannot be exported: torch.export does not trace it ({first_line(error)})') from error


def onnx_graph(program: ExportedProgram, inputs: list[str], outputs: list[str], dtype: str, name: str) -> Any:
    """A program as an ONNX model, with its weights stored as ``dtype``.

    Raises:
        ExportError: If ONNX lacks something that it needs.
    """
    try:
        with quiet():
            converted = torch.onnx.export(program, dynamo=True, verbose=False, input_names=inputs, output_names=outputs)
    except Exception as error:
        raise ExportError(f'{name} cannot be exported to ONNX ({first_line(error)})') from error
    assert converted is not None
    model = converted.model_proto
    if dtype == 'float16':
        store_as_float16(model)
    return quantized(model) if dtype == 'int8' else model


def store_as_float16(model: Any) -> None:
    """Stores the weights of an ONNX model as float16 and casts them to float32 when it is loaded, in place."""
    import onnx
    graph, casts = model.graph, []
    for weight in graph.initializer:
        array = onnx.numpy_helper.to_array(weight)
        if array.dtype != np.float32 or array.size < FLOAT16_SIZE or np.abs(array).max() > np.finfo(np.float16).max:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), f'{name}.float16'))
        casts.append(onnx.helper.make_node('Cast', [f'{name}.float16'], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def quantized(model: Any) -> Any:
    """An ONNX model with weights in 8 bits, by onnxruntime's dynamic quantization."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    with tempfile.TemporaryDirectory() as folder, quiet():
        before, after = Path(folder) / f'float32{ONNX}', Path(folder) / f'int8{ONNX}'
        onnx.save(model, before)
        quantize_dynamic(before, after, weight_type=QuantType.QUInt8)
        return onnx.load(after)


def compared(module: ImageEnhancementModule, path: Path, prior: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Results of a file and of the module (1, 3, H, W) for an image of each of :data:`COMPARED_SIZES`.

    If the file is for tiles, too, the whole image is also enhanced as one tile.
    """
    run = load(path)
    channels = {key: width for key, width in prior_sources(module.editor).items() if key in prior}
    for seed, size in enumerate(COMPARED_SIZES, 1):
        inputs = example(size, channels, seed)
        with torch.no_grad():
            expected = module(*inputs)
        for found in run(*inputs):
            yield found, expected.numpy()


def load(path: Path) -> Callable[..., list[np.ndarray]]:
    """An exported file as a function of the module's inputs, which returns what each part of the file makes of them."""
    if path.suffix.lower() == PROGRAM:
        program = torch.export.load(str(path)).module()

        def run_program(*inputs: Any) -> list[np.ndarray]:
            with torch.no_grad():
                return [program(*inputs).numpy()]

        return run_program
    exported = ExportedModel(path)

    def run_onnx(image: Tensor, prior: dict[str, Tensor] | None = None) -> list[np.ndarray]:
        maps = {key: value.numpy() for key, value in (prior or {}).items()}
        enhanced, *of_whole = exported.session.run(None, dict(image=image.numpy(), **maps))
        if not of_whole:
            return [enhanced]
        needs = dict(zip(exported.metadata['of_whole'], of_whole))
        tile, = exported.session.run(['enhanced'], {'image': image.numpy(), TILE: np.array(True), **needs})
        return [enhanced, tile.clip(0, 1)]

    return run_onnx


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type."""
    return next(iter(str(error).strip().splitlines()), '') or type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and log messages of PyTorch's and onnxruntime's exporters about their own parts."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)

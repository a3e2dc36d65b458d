"""TensorFlow weights without TensorFlow: reads its checkpoint files ("tensor bundles"), and converts its layout to PyTorch's.

A bundle ``X`` consists of an index, ``X.index``, and shards ``X.data-00000-of-00001`` with the raw numbers. The index is a
LevelDB table (https://github.com/google/leveldb/blob/main/doc/table_format.md) from variable names to messages
(tensorflow/core/protobuf/tensor_bundle.proto) that say where their numbers are. TensorFlow writes it uncompressed.
"""
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import torch
from torch import Tensor

from mmskf.weights import WeightsError, check_numbers

MAGIC = 0xdb4775248b80fb57
FOOTER = 48
TRAILER = 5  # after every block: whether it is compressed, and its checksum
DTYPES = {1: '<f4', 2: '<f8', 3: '<i4', 9: '<i8', 19: '<f2'}
STRING = 7


def find_bundle(path: str | Path) -> Path | None:
    """The index of a bundle given by its prefix, as in TensorFlow, or by one of its files; None for anything else."""
    path = Path(path)
    prefix = path.with_suffix('') if path.suffix == '.index' or path.suffix.startswith('.data-') else path
    index = prefix.with_name(f'{prefix.name}.index')
    return index if index.is_file() else None


def read_bundle(index: str | Path) -> dict[str, Tensor]:
    """Reads all variables of a bundle.

    Args:
        index (str | Path): The file ``X.index``; the shards are next to it.

    Returns:
        dict[str, Tensor]: In TensorFlow's layout.

    Raises:
        FileNotFoundError: If a shard is missing.
        WeightsError: If a file is damaged, or contains something that is not supported; names the file.
    """
    index = Path(index)
    try:
        variables = _read_variables(index)
    except (WeightsError, FileNotFoundError):
        raise
    except Exception as error:
        # Garbage can raise anything: IndexError, struct.error, TypeError, MemoryError...
        raise WeightsError(f'{index} is damaged, or not the index of a TensorFlow checkpoint ({type(error).__name__}: {error}): '
                           'copy or download it again') from error
    check_numbers(variables, str(index))
    return variables


def _read_variables(index: Path) -> dict[str, Tensor]:
    table = dict(read_table(index))
    if b'' not in table:
        raise WeightsError(f'{index} is damaged: it does not say how many files the numbers are in; copy or download it again')
    shards = dict(read_message(table.pop(b''))).get(1, 0)
    variables: dict[str, Tensor] = {}
    contents: dict[Path, bytes] = {}
    for key, value in table.items():
        name, entry = key.decode(errors='replace'), dict(read_message(value))
        if entry.get(1) == STRING:
            continue
        if entry.get(1) not in DTYPES or 7 in entry:
            raise WeightsError(f'{index}: the variable {name} is partitioned or of a type other than float and integer '
                               f'(TensorFlow type {entry.get(1)}), which this reader does not support: save it as .npz')
        shape = [dict(read_message(dim)).get(1, 0) for field, dim in read_message(entry.get(2, b'')) if field == 2]
        shard = index.with_suffix(f'.data-{entry.get(3, 0):05d}-of-{shards:05d}')
        if shard not in contents:
            contents[shard] = shard.read_bytes()
        begin, size = entry.get(4, 0), entry.get(5, 0)
        numbers = contents[shard][begin:begin + size]
        dtype = np.dtype(DTYPES[entry[1]])
        if len(numbers) != size or size != dtype.itemsize * math.prod(shape):
            raise WeightsError(f'{shard} has no {shape} numbers of the variable {name} at byte {begin}: the file is incomplete, '
                               f'or does not belong to {index.name}')
        if masked_crc32c(numbers) != int.from_bytes(entry[6], 'little'):
            raise WeightsError(f'{shard} is damaged: the checksum of the variable {name} is wrong; copy or download it again')
        variables[name] = torch.from_numpy(np.frombuffer(numbers, dtype).reshape(shape).copy())
    return variables


def masked_crc32c(data: bytes) -> int:
    """The checksum of LevelDB and TensorFlow: CRC-32C, rotated so that it is safe for data that contain checksums."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def to_pytorch(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Converts TensorFlow's layout to PyTorch's; the keys are PyTorch's already.

    Kernels (height, width, in, out) become (out, in, height, width). Those of transposed convolutions are stored as (height,
    width, out, in) and become (in, out, height, width): the same permutation.
    """
    return {key: value.permute(3, 2, 0, 1).contiguous() if value.dim() == 4 else value for key, value in state_dict.items()}


def read_table(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a LevelDB table, in order."""
    content = path.read_bytes()
    if len(content) < FOOTER or struct.unpack('<Q', content[-8:])[0] != MAGIC:
        raise WeightsError(f"{path} is not the index of a TensorFlow checkpoint: LevelDB's magic number at its end is missing")

    def read_block(handle: bytes, position: int = 0) -> Iterator[tuple[bytes, bytes]]:
        begin, position = read_varint(handle, position)
        size, position = read_varint(handle, position)
        end = begin + size
        if end + TRAILER > len(content) or content[end] != 0:
            raise WeightsError(f"{path} is damaged or compressed: TensorFlow's own index files are not compressed")
        if masked_crc32c(content[begin:end + 1]) != int.from_bytes(content[end + 1:end + TRAILER], 'little'):
            raise WeightsError(f'{path} is damaged: a checksum in it is wrong; copy or download it again')
        yield from read_entries(content[begin:end])

    footer = content[-FOOTER:]
    # The footer points to a block about the table itself, which is not needed, then to the one that lists the others.
    position = read_varint(footer, read_varint(footer, 0)[1])[1]
    for _, handle in read_block(footer, position):
        yield from read_block(handle)


def read_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block, whose keys omit the prefix that they share with the previous one."""
    restarts, = struct.unpack('<I', block[-4:])
    position, end, key = 0, len(block) - 4 * (restarts + 1), b''
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        size, position = read_varint(block, position)
        key = key[:shared] + block[position:position + unshared]
        position += unshared
        yield key, block[position:position + size]
        position += size


def read_message(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message, integers and bytes, by their number."""
    position = 0
    while position < len(message):
        value: int | bytes
        tag, position = read_varint(message, position)
        if tag & 7 == 0:
            value, position = read_varint(message, position)
        else:
            size = {1: 8, 5: 4}.get(tag & 7)
            if size is None:
                size, position = read_varint(message, position)
            value, position = message[position:position + size], position + size
        yield tag >> 3, value


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A number with seven bits per byte, lowest first, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        shift, position = shift + 7, position + 1
        if byte < 128:
            return value, position

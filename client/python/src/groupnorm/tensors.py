"""Between arrays of numpy and tensors of the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Union

import numpy as np

from groupnorm.v1 import tensor_pb2


# eq=False: arrays have no one answer to whether they equal others.
@dataclasses.dataclass(frozen=True, eq=False)
class Bfloat16:
    """bfloat16 values, which numpy has no type for: their bits, as uint16.

    What comes back for such an input is of this type too. Arrays whose type is
    called bfloat16, such as those of the package ml_dtypes, are taken as well, and
    answered by arrays of their type.
    """

    bits: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.bits, np.ndarray):
            raise TypeError(f"bits: {type(self.bits).__name__}, expected an array of "
                            "uint16")
        if self.bits.dtype != np.uint16:
            raise TypeError(f"bits: {self.bits.dtype}, expected uint16")

    @classmethod
    def from_float32(cls, values: np.ndarray) -> Bfloat16:
        """Rounds to nearest, ties to even; NaN stays NaN. Copies."""
        values = np.asarray(values, np.float32)
        bits = values.view(np.uint32).astype(np.uint64)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        quiet = (bits >> 16) | 0x40
        return cls(np.where(np.isnan(values), quiet, rounded).astype(np.uint16))

    def to_float32(self) -> np.ndarray:
        """Exact. Copies."""
        return (self.bits.astype(np.uint32) << 16).view(np.float32)


Array = Union[np.ndarray, Bfloat16]

_DTYPES = {"float32": tensor_pb2.DATA_TYPE_FLOAT32,
           "float64": tensor_pb2.DATA_TYPE_FLOAT64,
           "float16": tensor_pb2.DATA_TYPE_FLOAT16,
           "bfloat16": tensor_pb2.DATA_TYPE_BFLOAT16}
_NAMES = {value: name for name, value in _DTYPES.items()}


def names_of(dtypes: Iterable[int]) -> tuple[str, ...]:
    """The names of those element types that this client knows."""
    return tuple(_NAMES[dtype] for dtype in dtypes if dtype in _NAMES)


def fill(tensor: tensor_pb2.Tensor, name: str, array: Array) -> None:
    """Writes `array` to a message: its values are copied twice, to bytes and into
    the message. TypeError names `name` where it is no array, or the type of its
    elements is not one of the contract."""
    if isinstance(array, Bfloat16):
        dtype_name, values = "bfloat16", array.bits
    else:
        try:
            values = np.asarray(array)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name}: {type(array).__name__}, expected an array: "
                            f"{error}") from error
        dtype_name = values.dtype.name
    if dtype_name not in _DTYPES:
        raise TypeError(f"{name}: {values.dtype}, expected float32, float64, float16 "
                        "or bfloat16")
    if values.dtype.byteorder == ">":
        values = values.astype(values.dtype.newbyteorder("<"))
    tensor.dtype = _DTYPES[dtype_name]
    tensor.shape.extend(values.shape)
    tensor.data = values.tobytes()


def array_of(tensor: tensor_pb2.Tensor, like: Array) -> Array:
    """The values of a tensor, as a read-only view of bytes that are copied out of the
    message once. `like` says how bfloat16 is wanted."""
    name = _NAMES[tensor.dtype]
    if name != "bfloat16":
        return np.frombuffer(tensor.data, f"<f{np.dtype(name).itemsize}").reshape(
            tensor.shape)
    bits = np.frombuffer(tensor.data, "<u2").reshape(tensor.shape)
    if isinstance(like, Bfloat16):
        return Bfloat16(bits)
    return bits.view(np.asarray(like).dtype)

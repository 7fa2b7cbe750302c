"""Encodes requests of the contract (proto/groupnorm/v1) by hand.

Independent of protobuf, so that it can also write what no protobuf library
would: half messages, unknown values, sub-messages in parts.
"""

import dataclasses
import struct

DTYPES = {"FLOAT32": 1, "FLOAT64": 2, "FLOAT16": 3, "BFLOAT16": 4}
ELEMENT_SIZES = {"FLOAT32": 4, "FLOAT64": 8, "FLOAT16": 2, "BFLOAT16": 2}
CHANNELS_FIRST, CHANNELS_LAST = 1, 2
GRADIENT_INPUT, GRADIENT_WEIGHT, GRADIENT_BIAS = 1, 2, 3


def varint(value):
    value &= 2**64 - 1  # Negative numbers are written as 64-bit ones.
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def varint_field(number, value):
    return varint(number << 3) + varint(value)


def double_field(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


def bytes_field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


@dataclasses.dataclass
class Tensor:
    """A Tensor message. Nothing is checked; `dtype` may be any integer."""

    dtype: int
    shape: list
    data: bytes

    def encode(self):
        encoded = varint_field(1, self.dtype) if self.dtype else b""
        if self.shape:
            extents = b"".join(varint(extent) for extent in self.shape)
            encoded += bytes_field(2, extents)
        return encoded + bytes_field(15, self.data)


@dataclasses.dataclass
class Request:
    """A ForwardRequest or a BackwardRequest; None leaves a field out."""

    num_groups: int = None
    epsilon: float = None
    layout: int = None
    weight: Tensor = None
    bias: Tensor = None
    mean: Tensor = None
    rstd: Tensor = None
    gradients: tuple = ()
    frozen_statistics: bool = False
    per_sample_gradients: bool = False
    grad_output: Tensor = None
    input: Tensor = None

    def encode_config(self):
        encoded = b""
        if self.num_groups is not None:
            encoded += varint_field(1, self.num_groups)
        if self.epsilon is not None:
            encoded += double_field(2, self.epsilon)
        if self.layout is not None:
            encoded += varint_field(3, self.layout)
        return encoded

    def encode_statistics(self):
        encoded = b""
        if self.mean is not None:
            encoded += bytes_field(1, self.mean.encode())
        if self.rstd is not None:
            encoded += bytes_field(2, self.rstd.encode())
        return encoded

    def encode(self, method):
        forward = method == "Forward"
        config = self.encode_config()
        encoded = bytes_field(1, config) if config else b""
        if self.weight is not None:
            encoded += bytes_field(2, self.weight.encode())
        if forward and self.bias is not None:
            encoded += bytes_field(3, self.bias.encode())
        statistics = self.encode_statistics()
        if statistics:
            encoded += bytes_field(4 if forward else 3, statistics)
        if not forward:
            encoded += self.encode_backward_options()
        if self.input is not None:
            encoded += bytes_field(15, self.input.encode())
        return encoded

    def encode_backward_options(self):
        encoded = b""
        if self.gradients:
            values = b"".join(varint(value) for value in self.gradients)
            encoded += bytes_field(4, values)
        if self.frozen_statistics:
            encoded += varint_field(5, 1)
        if self.per_sample_gradients:
            encoded += varint_field(6, 1)
        if self.grad_output is not None:
            encoded += bytes_field(14, self.grad_output.encode())
        return encoded

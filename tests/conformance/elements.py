"""The element types: rounding to them, their bytes, pseudo-random values."""

import math
import struct
import zlib

from wire import DTYPES, ELEMENT_SIZES, Tensor

# Digits of the significand with its leading one, exponents of the smallest
# normal and of the largest number.
FORMATS = {
    "FLOAT32": (24, -126, 127),
    "FLOAT64": (53, -1022, 1023),
    "FLOAT16": (11, -14, 15),
    "BFLOAT16": (8, -126, 127),
}


def round_to(dtype, value):
    """A float rounded to nearest even to an element type, as a float."""
    if value == 0 or not math.isfinite(value) or dtype == "FLOAT64":
        return value
    precision, min_exponent, max_exponent = FORMATS[dtype]
    exponent = max(math.frexp(value)[1] - 1, min_exponent)
    unit = exponent - (precision - 1)
    # ldexp is exact here, round() goes to even.
    rounded = math.ldexp(round(math.ldexp(value, -unit)), unit)
    if abs(rounded) >= 2.0 ** (max_exponent + 1):
        return math.copysign(math.inf, value)
    return rounded


def encode_elements(dtype, values):
    """The bytes of values that the element type holds exactly."""
    if dtype == "BFLOAT16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    code = {"FLOAT32": "f", "FLOAT64": "d", "FLOAT16": "e"}[dtype]
    return struct.pack(f"<{len(values)}{code}", *values)


def tensor(dtype, shape, values):
    assert len(values) == math.prod(shape)
    data = encode_elements(dtype, values)
    assert len(data) == len(values) * ELEMENT_SIZES[dtype]
    return Tensor(DTYPES[dtype], list(shape), data)


class Numbers:
    """Pseudo-random numbers that depend on a name only: the same with every
    version of Python, whatever other cases there are."""

    def __init__(self, name):
        self.state = zlib.crc32(name.encode())

    def uniform(self):
        """In [0, 1), a multiple of 2^-24."""
        multiplier, increment = 6364136223846793005, 1442695040888963407
        self.state = (self.state * multiplier + increment) % 2**64
        return (self.state >> 40) / 2**24

    def normal(self):
        """Nearly normal, mean 0, standard deviation 1; at most 6."""
        return sum(self.uniform() for _ in range(12)) - 6

    def normals(self, dtype, count, mean=0.0, std=1.0):
        return [round_to(dtype, mean + std * self.normal())
                for _ in range(count)]

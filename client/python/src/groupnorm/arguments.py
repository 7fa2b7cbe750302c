"""Arguments of calls that are no arrays: refused by name where no request can hold them.

Of those that one can hold, the server says whether the contract allows them.
"""

from __future__ import annotations

import numbers
import operator
import reprlib
from collections.abc import Iterable

import numpy as np

_INT64 = range(-2**63, 2**63)
# 68 years: gRPC takes an instant after the year 2262 for one that is past.
_MAX_SECONDS = 2**31


def integer(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: {reprlib.repr(value)}, expected an integer") from None
    if number not in _INT64:
        raise ValueError(f"{name}: {reprlib.repr(number)}, expected an integer from "
                         "-2^63 to 2^63 - 1")
    return number


def real(name: str, value: float) -> float:
    """NaN and infinities are real numbers here."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: {reprlib.repr(value)}, expected a real number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: {reprlib.repr(value)}, expected a number within the "
                         "range of float64") from None


def seconds(name: str, value: float) -> float:
    number = real(name, value)
    # NaN is not at most anything.
    if not abs(number) <= _MAX_SECONDS:
        raise ValueError(f"{name}: {number}, expected at most {_MAX_SECONDS} seconds")
    return number


def flag(name: str, value: bool) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: {reprlib.repr(value)}, expected True or False")
    return bool(value)


def choice(name: str, value: str, values: dict[str, int]) -> int:
    if not isinstance(value, str) or value not in values:
        raise ValueError(f"{name}: {reprlib.repr(value)}, expected "
                         f"{' or '.join(values)}")
    return values[value]


def choices(name: str, chosen: Iterable[str], values: dict[str, int]) -> list[int]:
    """At least one."""
    # A str is an iterable of its letters.
    if isinstance(chosen, str) or not isinstance(chosen, Iterable):
        raise TypeError(f"{name}: {reprlib.repr(chosen)}, expected a sequence of "
                        f"{', '.join(values)}, as in {list(values)[:1]}")
    found = [choice(name, value, values) for value in chosen]
    if not found:
        raise ValueError(f"{name}: empty, expected at least one of {', '.join(values)}")
    return found

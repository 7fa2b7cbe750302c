"""What the kernels were meant to reach, set beside what was measured."""

import dataclasses
import math
import re

from rows import row_of

DRAM = "32x256x28x28|32x64x56x56|1x32x128x128x16|1x128x512x512"
MEGABYTES_20 = "2x320x64x64|4x640x32x32|8x1280x16x16"
CACHE = "8x32x16x16|1x320x64x64"
SINGLE_VALUES = "2x6x4x4|64x256|2048x384x1x1"


@dataclasses.dataclass(frozen=True)
class Aim:
    """Of the rows whose names match `rows`."""
    text: str
    rows: str
    of_limit: float = 0  # At least; 0 where there is no aim.
    x_torch: float = 0
    non_temporal: bool = False  # The limit that is meant: else the row's own.
    beside_float32: bool = False  # In the place of a limit, the GB/s of float32.
    mean: bool = False  # The geometric mean is meant, not every row.


def shapes(family, alternatives="[^/]+"):
    return rf"^{family}/({alternatives})_G\d+/threads:1$"


FORWARD = "forward/float32/channels_first"
BACKWARD = "backward/float32/channels_first"
AIMS = [
    Aim("forward float32, past the caches", shapes(FORWARD, DRAM), 0.80, 2.0, True),
    Aim("forward float32, 20 MB", shapes(FORWARD, MEGABYTES_20), 0.80, 2.2, True),
    Aim("forward float32, within the caches", shapes(FORWARD, CACHE), 0.65, 2.4),
    Aim("forward float32, (16, 512, 7, 7)", shapes(FORWARD, "16x512x7x7"), 0, 1.8),
    Aim("backward float32, 31 MB and more",
        shapes(BACKWARD, f"{MEGABYTES_20}|{DRAM}"), 0.72, 1.5, True),
    Aim("backward float32, (16, 512, 7, 7)", shapes(BACKWARD, "16x512x7x7"), 0, 1.3),
    Aim("no spatial extents, and tiny",
        shapes("[a-z]+ward/[a-z0-9]+/channels_first", SINGLE_VALUES), 0, 4),
    Aim("forward float32, channels last, past the caches",
        shapes("forward/float32/channels_last", DRAM), 0.5, 1.3, True),
    Aim("backward float32, channels last, past the caches",
        shapes("backward/float32/channels_last", DRAM), 0.5, 1.5, True),
    Aim("forward bfloat16 and float16",
        shapes("forward/b?float16/channels_first"), 0, 1.8),
    Aim("the same past the caches, of the GB/s of float32",
        shapes("forward/b?float16/channels_first", DRAM), 0.9, beside_float32=True),
    Aim("forward float64, past the caches",
        shapes("forward/float64/channels_first", DRAM), 0.75, 1.4, True),
    Aim("forward float32, all shapes", shapes(FORWARD), 0, 2.5, mean=True),
    Aim("backward float32, all shapes", shapes(BACKWARD), 0, 1.9, mean=True),
    Aim("every row", ".", 0, 1.0),
]


def speed(result, side):
    return result["traffic_bytes"] / result["seconds"][side]["median"]


def undisturbed(aim, results):
    """The rows that are meant, as far as they were measured undisturbed: others tell
    of the disturbance."""
    return [result for result in results if re.search(aim.rows, result["name"])
            and not result["disturbed_rounds"]]


def limit_speed(result, aim, by_name, side="kernel"):
    """Of what `aim` calls the limit of a row; none where that was not measured."""
    if aim.beside_float32:
        name = dataclasses.replace(row_of(result["name"]), dtype="float32").name
        return speed(by_name[name], side) if name in by_name else None
    limit = row_of(result["name"]).limits[1] if aim.non_temporal else result["limit"]
    return speed(result, limit)


def measured(aim, results, side):
    """(fractions of the limit, multiples of PyTorch), as far as they were measured:
    medians of ratios, or ratios of medians where the row has another limit."""
    by_name = {result["name"]: result for result in results}
    fractions, multiples = [], []
    for result in undisturbed(aim, results):
        limit = limit_speed(result, aim, by_name, side)
        if limit == speed(result, result["limit"]):
            fractions.append(result["of_limit"][side]["median"])
        elif limit is not None:
            fractions.append(speed(result, side) / limit)
        if side in result["x_torch"]:
            multiples.append(result["x_torch"][side]["median"])
    return fractions, multiples


def cell(wanted, values, mean):
    """What was wanted, and what was found: the lowest and the highest, or the mean."""
    if not wanted or not values:
        return "-"
    if mean:
        found = math.exp(sum(map(math.log, values)) / len(values))
        return f"{wanted:.2f}: {found:.2f}"
    text = f"{wanted:.2f}: {min(values):.2f}"
    if len(values) > 1:
        text += f" to {max(values):.2f}"
        missed = sum(value < wanted for value in values)
        text += f", {missed} of {len(values)} below" if missed else ", all"
    return text


def limit_cell(aim, results):
    """How many times PyTorch's speed the limits themselves have."""
    by_name = {result["name"]: result for result in results}
    values = [limit_speed(result, aim, by_name) / speed(result, "torch")
              for result in undisturbed(aim, results)
              if aim.x_torch and "torch" in result["seconds"]]
    if not values:
        return "-"
    return f"{min(values):.2f}" + (f" to {max(values):.2f}" if len(values) > 1 else "")


def aims_rows(results, kernels):
    """The cells of a table: an aim, the limit's multiple of PyTorch, then for each
    kernel the fraction of the limit and the multiple of PyTorch."""
    rows = []
    for aim in AIMS:
        row = [aim.text, limit_cell(aim, results)]
        for kernel in kernels:
            fractions, multiples = measured(aim, results, kernel)
            row += [cell(aim.of_limit, fractions, aim.mean),
                    cell(aim.x_torch, multiples, aim.mean)]
        rows.append(row)
    return rows

"""The rows of the results: the same shapes, names and order as kernel_bench's."""

import dataclasses
import math
import pathlib

DTYPES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}


@dataclasses.dataclass(frozen=True)
class Row:
    direction: str  # forward or backward
    dtype: str
    layout: str  # channels_first or channels_last
    extents: tuple  # N, C, spatial...
    num_groups: int
    threads: int

    @property
    def shape_name(self):
        return "x".join(map(str, self.extents)) + f"_G{self.num_groups}"

    @property
    def name(self):
        return (f"{self.direction}/{self.dtype}/{self.layout}/{self.shape_name}"
                f"/threads:{self.threads}")

    @property
    def spatial(self):
        return math.prod(self.extents[2:])

    @property
    def traffic_bytes(self):
        """The input and the output; of a backward, its two inputs and its output."""
        tensors = 2 if self.direction == "forward" else 3
        return tensors * math.prod(self.extents) * DTYPES[self.dtype]

    @property
    def order(self):
        """Sorts rows into families, each by size."""
        return (self.direction != "forward", list(DTYPES).index(self.dtype), self.layout,
                self.threads, self.traffic_bytes, self.shape_name)

    @property
    def limits(self):
        """The names of the plain and the non-temporal limit."""
        limit = "copy" if self.direction == "forward" else "triad"
        return limit, f"{limit}_non_temporal"


def read_shapes(path):
    """Yields (extents, num_groups) of a file of shapes, or of a folder of them."""
    path = pathlib.Path(path)
    for file in sorted(path.glob("*.txt")) if path.is_dir() else [path]:
        for line in file.read_text().splitlines():
            words = line.partition("#")[0].split()
            if words:
                extents, groups = words
                yield tuple(map(int, extents.split(","))), int(groups.removeprefix("G"))


def read_rows(path):
    """Every direction, element type, layout and number of threads of every shape."""
    return [Row(direction, dtype, layout, extents, num_groups, threads)
            for extents, num_groups in read_shapes(path)
            for direction in ("forward", "backward")
            for dtype in DTYPES
            for layout in ("channels_first", "channels_last")
            if layout == "channels_first" or len(extents) > 2
            for threads in (1, 2)]


def row_of(name):
    """The row with this name."""
    direction, dtype, layout, shape, threads = name.split("/")
    extents, groups = shape.split("_G")
    return Row(direction, dtype, layout, tuple(map(int, extents.split("x"))),
               int(groups), int(threads.removeprefix("threads:")))

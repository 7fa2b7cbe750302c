#!/usr/bin/env python3
"""Measures PyTorch's group normalization on the rows of kernel_bench.

  bench/torch_bench.py --filter 'forward/float32/.*/threads:1'

Needs PyTorch and nothing else, and nothing needs this. What is called is what
autograd calls: torch.native_group_norm, and for backward
aten.native_group_norm_backward with the statistics that forward saved and all three
gradients. Both allocate what they return (the variants that take tensors for the
results compute into new ones and copy them), so the allocator is set to give the same
memory again and to advise huge pages, as kernel_bench does: in a measurement no page
is faulted in. The column of page faults shows it.
"""

import argparse
import json
import math
import os
import re
import resource
import sys
import time

from rows import read_rows, row_of

# Read by glibc when the process starts.
ALLOCATOR = {"GLIBC_TUNABLES": ":".join((
    "glibc.malloc.hugetlb=1",  # Advise huge pages.
    "glibc.malloc.mmap_threshold=4294967296",  # Take no block from the kernel anew
    "glibc.malloc.trim_threshold=17179869184",  # and give none back.
    "glibc.malloc.top_pad=67108864"))}


def memory_format(torch, row):
    if row.layout == "channels_first" or len(row.extents) == 2:
        return torch.contiguous_format
    if len(row.extents) == 5:
        return torch.channels_last_3d
    return torch.channels_last


def call_of(torch, row):
    """The call to be measured, without arguments."""
    dtype = getattr(torch, row.dtype)
    generator = torch.Generator().manual_seed(1)

    def normal(extents):
        values = torch.randn(extents, generator=generator) + 0.5
        return values.to(dtype)

    batch, channels = row.extents[:2]
    x = normal(row.extents).contiguous(memory_format=memory_format(torch, row))
    weight, bias = normal([channels]), normal([channels])
    extents = (batch, channels, row.spatial, row.num_groups)
    forward = torch.native_group_norm
    if row.direction == "forward":
        return lambda: forward(x, weight, bias, *extents, 1e-5)
    _, mean, rstd = forward(x, weight, bias, *extents, 1e-5)
    dy = normal(row.extents).contiguous(memory_format=memory_format(torch, row))
    backward = torch.ops.aten.native_group_norm_backward.default
    return lambda: backward(dy, x, mean, rstd, weight, *extents, [True, True, True])


def page_faults():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def measure(call, min_time):
    """Repeats until `min_time` seconds are reached, as Google Benchmark does."""
    iterations = 1
    while True:
        faults = page_faults()
        start = time.perf_counter()
        for _ in range(iterations):
            call()
        seconds = time.perf_counter() - start
        if seconds >= min_time:
            return {"seconds": seconds / iterations, "iterations": iterations,
                    "page_faults": (page_faults() - faults) / iterations}
        growth = min(10, 1.4 * min_time / max(seconds, 1e-9))
        iterations = max(iterations + 1, math.ceil(iterations * growth))


class Bench:
    def __init__(self, torch, min_time):
        self.torch, self.min_time = torch, min_time
        self.name = None

    def run(self, name):
        """One measurement. The first one of a row makes its tensors."""
        if self.name != name:
            row = row_of(name)
            self.name = self.call = None  # Frees the tensors of the row before.
            self.call = call_of(self.torch, row)
            self.torch.set_num_threads(row.threads)
            for _ in range(2):  # The second one finds the heap as all later ones do.
                self.call()
            self.name = name
        return measure(self.call, self.min_time)


def serve(bench, version):
    """Measures what is asked for, one name a line; answers each with a line."""
    print(json.dumps(version), flush=True)
    for line in sys.stdin:
        try:
            answer = bench.run(line.strip())
        except RuntimeError as error:  # What PyTorch raises where it has no kernel.
            answer = {"error": str(error).partition("\n")[0]}
        print(json.dumps(answer), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", help="regular expression of names")
    parser.add_argument("--shapes", default="bench/shapes")
    parser.add_argument("--min_time", type=float, default=0.05, help="in seconds")
    parser.add_argument("--serve", action="store_true",
                        help="measure the rows whose names are read from the input")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALLOCATOR)

    import torch  # Here, where the allocator is set.
    version = {"torch": torch.__version__,
               "cpu_capability": torch.backends.cpu.get_cpu_capability()}
    bench = Bench(torch, options.min_time)
    with torch.inference_mode():
        if options.serve:
            serve(bench, version)
            return
        print(version)
        for row in read_rows(options.shapes):
            if re.search(options.filter, row.name):
                result = bench.run(row.name)
                print(f"{row.name:70} {result['seconds'] * 1e6:12.2f} us"
                      f" {row.traffic_bytes / result['seconds'] / 1e9:8.2f} GB/s"
                      f" {result['page_faults']:8.2f} page faults", flush=True)


if __name__ == "__main__":
    main()

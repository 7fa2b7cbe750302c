#!/usr/bin/env python3
"""Measures the kernels, the machine's limits and PyTorch in turn, row by row.

  bench/compare.py --filter 'forward/float32/.*/threads:1' --rounds 5

Every round measures each side once, in an order that changes from round to round, so
that a slow moment of the machine hits all of them. A ratio is that of one round; the
medians of the ratios and their spread (10 to 90 %) are printed, and written with the
times to --output, which bench/report.py makes tables and a picture of. Without
--torch_python there is no PyTorch among the sides.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

from rows import read_rows

HERE = pathlib.Path(__file__).parent


class Server:
    """A program that is asked for one measurement at a time."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.version = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def measure(self, name):
        print(name, file=self.process.stdin, flush=True)
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def quantile(values, fraction):
    """Of unordered values, linear between two of them."""
    ordered = sorted(values)
    at = fraction * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def spread(values):
    return {"median": quantile(values, 0.5), "p10": quantile(values, 0.1),
            "p90": quantile(values, 0.9)}


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    cache = pathlib.Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    return {"cpu": cpu[1] if cpu else platform.machine(),
            "cpus": len(os.sched_getaffinity(0)),
            "l3_bytes": int(cache.read_text().rstrip("K\n")) << 10 if cache.exists() else 0,
            "system": platform.freedesktop_os_release()["PRETTY_NAME"]}


def sides_of(row, servers):
    """Side -> (program, what it is asked for)."""
    first = next(iter(servers))
    sides = {limit: (first, f"{row.name}/{limit}") for limit in row.limits}
    for target in servers:
        if target == "torch":
            sides["torch"] = ("torch", row.name)
        else:
            sides["kernel" if target == first else f"kernel_{target}"] = (
                target, f"{row.name}/kernel")
    return sides


def measure_row(row, servers, rounds):
    """Seconds of every side in every round; PyTorch's only where it has a kernel."""
    sides = sides_of(row, servers)
    seconds = {side: [] for side in sides}
    faults = dict.fromkeys(sides, 0.0)
    for number in range(-1, rounds):  # The first one warms up.
        turn = number % len(sides)
        for side in (*list(sides)[turn:], *list(sides)[:turn]):
            program, name = sides[side]
            answer = servers[program].measure(name)
            if "error" in answer:
                if program != "torch":
                    sys.exit(f"{name}: {answer['error']}")
                seconds.pop("torch", None)
                continue
            if program == "torch" and row.threads > 1:
                time.sleep(0.01)  # Its threads spin for a while before they sleep.
            if number >= 0:
                seconds[side].append(answer["seconds"])
                faults[side] = max(faults[side], answer["page_faults"])
    return seconds, faults


def summary(row, seconds, faults, l3_bytes):
    """What is kept of a row."""
    plain, non_temporal = row.limits
    # Past the caches a plain store reads what it overwrites, which no kernel needs to.
    in_cache = row.traffic_bytes <= l3_bytes
    limit = (plain if in_cache and quantile(seconds[plain], 0.5)
             < quantile(seconds[non_temporal], 0.5) else non_temporal)
    result = {"name": row.name, "traffic_bytes": row.traffic_bytes, "limit": limit,
              "page_faults": faults,
              "seconds": {side: spread(values) for side, values in seconds.items()},
              "of_limit": {}, "x_torch": {}}
    for side in seconds:
        if side.startswith("kernel"):
            for key, other in (("of_limit", limit), ("x_torch", "torch")):
                if other in seconds:
                    result[key][side] = spread(
                        [b / a for a, b in zip(seconds[side], seconds[other])])
    return result


def line_of(result):
    def speed(side):
        return result["traffic_bytes"] / result["seconds"][side]["median"] / 1e9

    def ratio(key, side):
        values = result[key].get(side)
        return (f"{values['median']:6.2f} ({values['p10']:.2f}-{values['p90']:.2f})"
                if values else " " * 18)

    limits = [side for side in result["seconds"] if side.startswith(("copy", "triad"))]
    line = f"{result['name']:66}" + "".join(
        f" {speed(side):7.2f}" for side in ["kernel", *limits])
    for side in result["of_limit"]:
        line += f"  {ratio('of_limit', side):20} {ratio('x_torch', side):20}"
    return line.rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", help="regular expression of names")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--min_time", type=float, default=0.01,
                        help="seconds that one measurement takes at least")
    parser.add_argument("--targets", default="",
                        help="as --simd_target of kernel_bench, several with commas; "
                             "the first is what the limits are measured beside")
    parser.add_argument("--shapes", default=HERE / "shapes")
    parser.add_argument("--kernel_bench", default="build/release/bench/kernel_bench")
    parser.add_argument("--torch_python", help="a Python that can import torch")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file of results")
    options = parser.parse_args()
    rows = [row for row in read_rows(options.shapes)
            if re.search(options.filter, row.name)]
    if not rows:
        sys.exit("no row matches --filter")

    with contextlib.ExitStack() as stack:
        servers = {}
        for target in options.targets.split(","):
            command = [options.kernel_bench, "--serve", f"--shapes={options.shapes}",
                       f"--benchmark_min_time={options.min_time}"]
            command += [f"--simd_target={target}"] if target else []
            servers[target] = stack.enter_context(Server(command))
        if options.torch_python:
            servers["torch"] = stack.enter_context(Server(
                [options.torch_python, HERE / "torch_bench.py", "--serve",
                 f"--min_time={options.min_time}"]))
        about = machine() | {
            "date": datetime.date.today().isoformat(), "rounds": options.rounds}
        about |= next(iter(servers.values())).version
        about |= servers["torch"].version if "torch" in servers else {}
        print(json.dumps(about))
        print(f"{'':66}  kernel   plain  non-t.  of limit (10-90 %)   x torch")
        results = []
        for row in rows:
            seconds, faults = measure_row(row, servers, options.rounds)
            results.append(summary(row, seconds, faults, about["l3_bytes"]))
            print(line_of(results[-1]), flush=True)
    if options.output:
        lines = ",\n".join(json.dumps(result) for result in results)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(
            f'{{"about": {json.dumps(about)},\n"rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()

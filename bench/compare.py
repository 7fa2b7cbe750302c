#!/usr/bin/env python3
"""Measures the kernels, the machine's limits and PyTorch in turn, row by row.

  bench/compare.py --filter 'forward/float32/.*/threads:1' --rounds 5

Every round measures each side once, in an order that changes from round to round, so
that a slow moment of the machine hits all of them. A ratio is that of one round; the
medians of the ratios and their spread (10 to 90 %) are printed, and written with the
times to --output, which bench/report.py makes tables and a picture of. A round in
which other programs took the processors is measured again. Without --torch_python
there is no PyTorch among the sides.
"""

import argparse
import contextlib
import datetime
import json
import pathlib
import re
import sys
import time

import report
from measuring import Disturbance, Program, machine, quantile, spread, write
from rows import read_rows

HERE = pathlib.Path(__file__).parent


def sides_of(row, programs):
    """Side -> (program, what it is asked for). The first program gives the limits."""
    first, *others = (name for name in programs if name != "torch")
    sides = {"kernel": (first, f"{row.name}/kernel")}
    sides |= {limit: (first, f"{row.name}/{limit}") for limit in row.limits}
    sides |= {f"kernel_{name}": (name, f"{row.name}/kernel") for name in others}
    if "torch" in programs:
        sides["torch"] = ("torch", row.name)
    return sides


def measure_round(sides, programs, turn, pause):
    """Side -> its answer; each is asked once, beginning with number `turn`."""
    answers = {}
    for side in (*list(sides)[turn:], *list(sides)[:turn]):
        program, name = sides[side]
        answers[side] = programs[program].measure(name)
        if program == "torch":
            time.sleep(pause)
        elif "error" in answers[side]:
            sys.exit(f"{name}: {answers[side]['error']}")
    return answers


def measure_row(row, programs, rounds, patience):
    """The answers of all rounds, and how many of these rounds were disturbed.

    A disturbed round is measured again, for `patience` seconds: two threads that wait
    for each other are at the mercy of a third one, those of PyTorch most of all.
    """
    sides = sides_of(row, programs)
    # PyTorch's threads spin for a while before they sleep.
    pause = 0.01 if row.threads > 1 else 0.0
    measure_round(sides, programs, 0, pause)  # Warms up.
    answers, disturbed, give_up = [], 0, None
    disturbance = Disturbance(programs.values())
    while len(answers) < rounds:
        start = time.monotonic()
        latest = measure_round(sides, programs, len(answers) % len(sides), pause)
        # The clocks of processes advance in steps of 10 ms.
        allowed = 0.03 + 0.05 * (time.monotonic() - start)
        is_disturbed = disturbance.seconds() > allowed
        if is_disturbed and time.monotonic() < (give_up := give_up or start + patience):
            time.sleep(0.2)
            disturbance.seconds()
            continue
        disturbed += is_disturbed
        answers.append(latest)
    return answers, disturbed


def summary(row, answers, disturbed, l3_bytes):
    """What is kept of a row. PyTorch is not in it where it refused."""
    sides = [side for side in answers[0] if "error" not in answers[0][side]]
    seconds = {side: [answer[side]["seconds"] for answer in answers] for side in sides}
    faults = {side: max(answer[side]["page_faults"] for answer in answers)
              for side in sides}
    _, non_temporal = row.limits
    limit = min(row.limits, key=lambda side: quantile(seconds[side], 0.5))
    if row.traffic_bytes > l3_bytes:
        # Here a plain store reads what it overwrites, which no kernel has to do.
        limit = non_temporal
    kernels = [side for side in seconds if side.startswith("kernel")]

    def ratios(other):
        if other not in seconds:
            return {}
        return {kernel: spread([b / a for a, b in zip(seconds[kernel], seconds[other])])
                for kernel in kernels}

    return {"name": row.name, "traffic_bytes": row.traffic_bytes, "limit": limit,
            "disturbed_rounds": disturbed, "page_faults": faults,
            "seconds": {side: spread(values) for side, values in seconds.items()},
            "of_limit": ratios(limit), "x_torch": ratios("torch")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", help="regular expression of names")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--min_time", type=float, default=0.01,
                        help="seconds that one measurement takes at least")
    parser.add_argument("--patience", type=float, default=20,
                        help="seconds to wait for an idle machine, for each row")
    parser.add_argument("--targets", default="",
                        help="as --simd_target of kernel_bench, several with commas; "
                             "the first is what the limits are measured beside")
    parser.add_argument("--shapes", default=HERE / "shapes")
    parser.add_argument("--kernel_bench", default="build/release/bench/kernel_bench")
    parser.add_argument("--torch_python", help="a Python that can import torch")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file of results")
    options = parser.parse_args()
    rows = sorted((row for row in read_rows(options.shapes)
                   if re.search(options.filter, row.name)), key=lambda row: row.order)
    if not rows:
        sys.exit("no row matches --filter")

    with contextlib.ExitStack() as stack:
        programs = {}
        for target in options.targets.split(","):
            command = [options.kernel_bench, "--serve", f"--shapes={options.shapes}",
                       f"--benchmark_min_time={options.min_time}"]
            command += [f"--simd_target={target}"] if target else []
            programs[target] = stack.enter_context(Program(command))
        about = (machine() | next(iter(programs.values())).version
                 | {"date": datetime.date.today().isoformat(), "rounds": options.rounds})
        if options.torch_python:
            programs["torch"] = stack.enter_context(Program(
                [options.torch_python, HERE / "torch_bench.py", "--serve",
                 f"--min_time={options.min_time}"]))
            about |= programs["torch"].version
        print(json.dumps(about))
        print(report.TEXT_HEADER)
        results = []
        for row in rows:
            answers, disturbed = measure_row(
                row, programs, options.rounds, options.patience)
            results.append(summary(row, answers, disturbed, about["l3_bytes"]))
            print(report.text_line(results[-1]), flush=True)
            if options.output:  # After every row: who stops it keeps what there is.
                write(options.output, about, results)
    print(report.text_means(results))


if __name__ == "__main__":
    main()

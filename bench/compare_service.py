#!/usr/bin/env python3
"""Measures the service, an echo and servers of generated messages in turn.

  bench/compare_service.py --filter '^unix/1MiB/' --rounds 5

A cell is a transport, a size of the tensor and a number of calls in flight. All its
servers and clients are started fresh, since an allocator adapts to what it has seen.
Then every round measures each side once, in an order that changes from round to
round. A ratio is that of one round; the medians of the ratios and their spread
(10 to 90 %) are printed, and written to --output, which bench/report_service.py makes
tables and a picture of. A round in which other programs took the processors is
measured again.
"""

import argparse
import contextlib
import dataclasses
import datetime
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import report_service
from measuring import Disturbance, Program, machine, quantile, spread, write

# Side -> kind of service_load, and the server's command after its program's name.
ECHOES = {f"echo_{queues}x{threads}":
          ("raw", ["echo", f"--queues={queues}", f"--threads-per-queue={threads}"])
          for queues, threads in ((1, 1), (1, 2), (2, 1), (2, 2))}
# Roomy, so that a single connection may have 16 calls of 64 MiB admitted.
OURS = ["--max-queued-bytes=16GiB", "--log-level=warning"]
OTHERS = {"ours": ("library", OURS),
          "ours_generated": ("generated", OURS),
          "tuned": ("tuned", ["tuned"]),
          "generated": ("generated", ["generated"])}
SIZES = {"4KiB": 4 << 10, "64KiB": 64 << 10, "1MiB": 1 << 20, "16MiB": 16 << 20,
         "64MiB": 64 << 20}
# What a server and its client take together for a call in flight, as a multiple of
# its tensor: seen, 15 to 30.
MEMORY_OF_A_CALL = 30


@dataclasses.dataclass(frozen=True)
class Cell:
    transport: str
    size: str
    in_flight: int

    @property
    def name(self):
        return f"{self.transport}/{self.size}/{self.in_flight}"

    @property
    def tensor_bytes(self):
        return SIZES[self.size]


def all_cells():
    return [Cell(*cell) for cell in
            itertools.product(("tcp", "unix"), SIZES, (1, 4, 16))]


class Server:
    """A server that runs until it is no longer needed."""

    def __init__(self, command, transport, folder):
        address = ("127.0.0.1:0" if transport == "tcp" else
                   f"unix:{folder}/{len(list(folder.iterdir()))}.sock")
        self.process = subprocess.Popen([*command, f"--listen={address}"],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{command[0]} ended with {self.process.wait()}")
        self.address = line.split()[-1]

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        return sum(map(int, fields.rpartition(")")[2].split()[11:13])) / TICKS

    def peak_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) << 10

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


TICKS = os.sysconf("SC_CLK_TCK")


class Side:
    """A server and its client. What they do is added up until both end."""

    def __init__(self, name, cell, folder, build, stack):
        kind, arguments = (ECHOES | OTHERS)[name]
        load = [build / "bench/service/service_load", kind,
                f"--tensor-bytes={cell.tensor_bytes}", f"--in-flight={cell.in_flight}"]
        if name in ECHOES:
            size = subprocess.run([*load, "--print-response-bytes"], check=True,
                                  capture_output=True, text=True).stdout.strip()
            arguments = [*arguments, f"--response-bytes={size}"]
        program = ("server/groupnorm-server" if arguments is OURS else
                   "bench/service/service_peer")
        self.server = stack.enter_context(
            Server([build / program, *arguments], cell.transport, folder))
        self.client = stack.enter_context(
            Program([*load, f"--address={self.server.address}"]))

    def measure(self, seconds):
        before = self.server.cpu_seconds()
        answer = self.client.measure(seconds)
        answer["server_cpu_seconds"] = self.server.cpu_seconds() - before
        return answer


def measure_sides(cell, names, options):
    """The answers of all rounds, and how many of these rounds were disturbed."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides = {name: Side(name, cell, folder, options.build, stack) for name in names}
        processes = [program for side in sides.values()
                     for program in (side.server, side.client)]
        for side in sides.values():
            side.measure(options.time)  # Warms up.
        rounds, disturbed, give_up = [], 0, None
        disturbance = Disturbance(processes)
        while len(rounds) < options.rounds:
            start = time.monotonic()
            turn = len(rounds) % len(names)
            latest = {name: sides[name].measure(options.time)
                      for name in (*names[turn:], *names[:turn])}
            # The clocks of processes advance in steps of 10 ms.
            allowed = 0.05 + 0.05 * (time.monotonic() - start)
            is_disturbed = disturbance.seconds() > allowed
            give_up = give_up or start + options.patience
            if is_disturbed and time.monotonic() < give_up:
                time.sleep(0.2)
                disturbance.seconds()
                continue
            disturbed += is_disturbed
            rounds.append(latest)
        peaks = {name: side.server.peak_bytes() for name, side in sides.items()}
    return rounds, disturbed, peaks


def rates(rounds, name):
    return [answers[name]["calls"] / answers[name]["seconds"] for answers in rounds]


def summary(cell, name, rounds, peaks, echo):
    """What is kept of a side."""
    moved = 2 * cell.tensor_bytes
    answers = [each[name] for each in rounds]
    gigabytes = moved * sum(answer["calls"] for answer in answers) / 1e9
    return {
        "gb_per_s": spread([rate * moved / 1e9 for rate in rates(rounds, name)]),
        "of_echo": spread([rate / limit for rate, limit in
                           zip(rates(rounds, name), rates(rounds, echo))]),
        "calls_per_round": quantile([answer["calls"] for answer in answers], 0.5),
        "latency_p50": spread([answer["latency_p50"] for answer in answers]),
        "latency_p99": spread([answer["latency_p99"] for answer in answers]),
        "client_cpu_seconds_per_gb": round(
            sum(answer["cpu_seconds"] for answer in answers) / gigabytes, 4),
        "server_cpu_seconds_per_gb": round(
            sum(answer["server_cpu_seconds"] for answer in answers) / gigabytes, 4),
        "client_peak_bytes": max(answer["peak_bytes"] for answer in answers),
        "server_peak_bytes": peaks[name]}


def available_bytes():
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(re.search(r"MemAvailable:\s*(\d+) kB", text)[1]) << 10


def groups_of(cell):
    """Which sides take turns beside the echo: all of them where the memory allows,
    otherwise each alone, after the layouts of the echo by themselves."""
    needed = (len(ECHOES | OTHERS) * MEMORY_OF_A_CALL
              * cell.tensor_bytes * cell.in_flight)
    if needed < available_bytes():
        return [list(OTHERS)]
    return [[], *([name] for name in OTHERS)]


def measure_cell(cell, options):
    """The echo that is the fastest in the first group is what all are compared with,
    each in the rounds of its own group."""
    result = {"name": cell.name, "tensor_bytes": cell.tensor_bytes,
              "rounds": 0, "disturbed_rounds": 0, "sides": {}}
    groups = groups_of(cell)
    result["in_pairs"] = len(groups) > 1
    echoes = list(ECHOES)
    for names in groups:
        rounds, disturbed, peaks = measure_sides(cell, [*echoes, *names], options)
        result["rounds"] += len(rounds)
        result["disturbed_rounds"] += disturbed
        echo = max(echoes, key=lambda name: quantile(rates(rounds, name), 0.5))
        if echoes != [echo]:
            echoes = [echo]
            result["echo"] = echo
            result["sides"]["echo"] = summary(cell, echo, rounds, peaks, echo)
        for name in names:
            result["sides"][name] = summary(cell, name, rounds, peaks, echo)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", help="regular expression of names of "
                        "cells, such as tcp/4KiB/1 (the last: calls in flight)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--time", type=float, default=0.15,
                        help="seconds that one measurement takes at least")
    parser.add_argument("--patience", type=float, default=20,
                        help="seconds to wait for an idle machine, for each cell")
    parser.add_argument("--build", type=pathlib.Path, default="build/release")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file of results")
    options = parser.parse_args()
    cells = [cell for cell in all_cells() if re.search(options.filter, cell.name)]
    if not cells:
        sys.exit("no cell matches --filter")
    about = machine() | {"date": datetime.date.today().isoformat(),
                         "rounds": options.rounds}
    print(json.dumps(about))
    print(report_service.TEXT_HEADER)
    results = []
    for cell in cells:
        results.append(measure_cell(cell, options))
        print(report_service.text_lines(results[-1]), flush=True)
        if options.output:  # After every cell: who stops it keeps what there is.
            write(options.output, about, results)


if __name__ == "__main__":
    main()

"""What the benchmarks that compare programs have in common."""

import json
import os
import pathlib
import platform
import re
import subprocess
import sys


class Program:
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
    """The median and what 80 % of the values lie between, to four digits."""
    return {name: float(f"{quantile(values, fraction):.4g}")
            for name, fraction in (("median", 0.5), ("p10", 0.1), ("p90", 0.9))}


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    cache = pathlib.Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    return {"cpu": cpu[1] if cpu else platform.machine(),
            "cpus": len(os.sched_getaffinity(0)),
            "l3_bytes": int(cache.read_text().rstrip("K\n")) << 10 if cache.exists() else 0,
            "system": platform.freedesktop_os_release()["PRETTY_NAME"]}


class Disturbance:
    """How much processor time was taken by all but this program and its children."""

    def __init__(self, programs):
        self.processes = ["self", *(program.process.pid for program in programs)]
        self.ticks = os.sysconf("SC_CLK_TCK")
        self.last = self.total()

    def total(self):
        # The first eight: user, nice, system, idle, iowait, irq, softirq, steal.
        times = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        busy = sum(map(int, times)) - int(times[3]) - int(times[4])
        for process in self.processes:
            fields = pathlib.Path(f"/proc/{process}/stat").read_text()
            own = fields.rpartition(")")[2].split()[11:13]  # Its user and system time.
            busy -= sum(map(int, own))
        return busy / self.ticks

    def seconds(self):
        """Since the last call."""
        before, self.last = self.last, self.total()
        return self.last - before


def write(path, about, results):
    lines = ",\n".join(json.dumps(result) for result in results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"about": {json.dumps(about)},\n"rows": [\n{lines}\n]}}\n')

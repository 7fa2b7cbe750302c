#!/usr/bin/env python3
"""Makes tables and a picture of what bench/compare_service.py measured.

  bench/report_service.py

Reads bench/results/service/service.json; writes service.txt and service.svg beside it,
and the tables of bench/README.md between its marks.
"""

import argparse
import json
import pathlib

HERE = pathlib.Path(__file__).parent
BEGIN, END = "<!-- measured service: begin -->", "<!-- measured service: end -->"
TITLES = {"echo": "echo", "ours": "ours", "ours_generated": "ours, generated client",
          "tuned": "generated, tuned", "generated": "generated"}
# Calls of a round from which on its 99th percentile is more than its slowest call.
ENOUGH_FOR_P99 = 100
TEXT_HEADER = (f"{'':16} {'':22} {'GB/s':18} {'of the echo':18} {'calls':>6} {'p50 ms':>8}"
               f" {'p99 ms':>8} {'CPU s/GB server':>15} {'client':>7}"
               f" {'peak MiB server':>15} {'client':>7}")


def ratio(value):
    """As in "0.81 (0.79-0.83)": the median, and what 80 % lie between."""
    return "{median:.2f} ({p10:.2f}-{p90:.2f})".format_map(value)


def text_lines(result):
    """A line for each side of a cell."""
    lines = []
    for name, side in result["sides"].items():
        calls = side["calls_per_round"]
        p99 = f"{1e3 * side['latency_p99']['median']:.3f}" if calls >= ENOUGH_FOR_P99 else "-"
        line = (f"{result['name']:16} {TITLES[name]:22} {ratio(side['gb_per_s']):18}"
                f" {ratio(side['of_echo']):18}"
                f" {calls:6.0f}"
                f" {1e3 * side['latency_p50']['median']:8.3f}"
                f" {p99:>8}"
                f" {side['server_cpu_seconds_per_gb']:15.2f}"
                f" {side['client_cpu_seconds_per_gb']:7.2f}"
                f" {side['server_peak_bytes'] / 2**20:15.0f}"
                f" {side['client_peak_bytes'] / 2**20:7.0f}")
        if result["disturbed_rounds"]:
            line += (f"  {result['disturbed_rounds']} of {result['rounds']} rounds"
                     " disturbed")
        lines.append(line)
    return "\n".join(lines)


def table(header, rows):
    """A table of Markdown: the first column to the left, the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def throughput_table(results):
    others = [name for name in TITLES if name != "echo"]
    return table(
        ["transport / tensor / in flight", "echo, GB/s",
         *(f"{TITLES[name]}: of the echo" for name in others)],
        [[result["name"] + " *" * (result["disturbed_rounds"] > 0),
          f"{result['sides']['echo']['gb_per_s']['median']:.2f}",
          *(ratio(result["sides"][name]["of_echo"]) for name in others)]
         for result in results])


def cost_table(results):
    header = ["transport / tensor / in flight"]
    for name in TITLES:
        header.append(f"{TITLES[name]}: CPU s/GB, server + client")
    return table(header, [
        [result["name"],
         *(f"{result['sides'][name]['server_cpu_seconds_per_gb']:.2f}"
           f" + {result['sides'][name]['client_cpu_seconds_per_gb']:.2f}"
           for name in TITLES)]
        for result in results])


def losses(results):
    """Where a server of generated messages is faster than ours."""
    lost = []
    for result in results:
        ours = result["sides"]["ours"]["of_echo"]["median"]
        for name in ("tuned", "generated"):
            other = result["sides"][name]["of_echo"]["median"]
            if other > ours:
                lost.append((ours / other, result["name"], TITLES[name]))
    if not lost:
        return "No cell is slower than with generated messages."
    return ("Generated messages are faster in:\n\n" + table(
        ["transport / tensor / in flight", "peer", "ours, as a fraction of it"],
        [[name, peer, f"{fraction:.2f}"] for fraction, name, peer in sorted(lost)]))


def about_text(about):
    return (f"{about['cpu']}, {about['cpus']} processors, {about['system']}; "
            f"{about['date']}; medians of {about['rounds']} rounds, in parentheses "
            "10 to 90 %; a * marks cells in which the machine was busy with other "
            "things.")


def draw(results, path):
    """Throughput over the size, a panel for each transport and calls in flight."""
    import matplotlib
    matplotlib.use("svg")
    # The same bytes every time.
    matplotlib.rcParams.update({"svg.hashsalt": "groupnorm", "svg.fonttype": "none"})
    from matplotlib import pyplot

    panels = {}
    for result in results:
        transport, _, in_flight = result["name"].split("/")
        panels.setdefault((transport, in_flight), []).append(result)
    figure, axes = pyplot.subplots(2, (len(panels) + 1) // 2, figsize=(10, 6),
                                   squeeze=False, sharex=True, sharey=True)
    for axis, ((transport, in_flight), drawn) in zip(axes.flat, panels.items()):
        for name, title in TITLES.items():
            axis.plot([result["tensor_bytes"] for result in drawn],
                      [result["sides"][name]["gb_per_s"]["median"] for result in drawn],
                      marker="o", markersize=3, label=title,
                      color="grey" if name == "echo" else None)
        axis.set(xscale="log", yscale="log", title=f"{transport}, {in_flight} in flight")
        axis.minorticks_off()
    axes[0][0].legend(fontsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("bytes of the tensor")
    for row in axes:
        row[0].set_ylabel("GB/s, both ways")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=pathlib.Path,
                        default=HERE / "results/service")
    parser.add_argument("--readme", type=pathlib.Path, default=HERE / "README.md")
    options = parser.parse_args()
    source = options.results / "service.json"
    if not source.exists():
        parser.error(f"{source} does not exist: bench/compare_service.py writes it")
    content = json.loads(source.read_text())
    about, results = content["about"], content["rows"]

    before, _, rest = options.readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [BEGIN, about_text(about), throughput_table(results), cost_table(results),
             losses(results), END]
    options.readme.write_text(before + "\n\n".join(parts) + after)
    (options.results / "service.txt").write_text("\n".join(
        [about_text(about), "", TEXT_HEADER, *map(text_lines, results)]) + "\n")
    draw(results, options.results / "service.svg")


if __name__ == "__main__":
    main()

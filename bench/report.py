#!/usr/bin/env python3
"""Makes tables and a picture of what bench/compare.py measured.

  bench/report.py

Reads every bench/results/*.json; writes bench/results/results.txt, which has every
row, bench/results/float32.svg, and the tables of bench/README.md.
"""

import argparse
import json
import math
import pathlib

from aims import aims_rows
from rows import row_of

HERE = pathlib.Path(__file__).parent
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TEXT_HEADER = (f"{'':68} {'GB/s':>7} {'plain':>7} {'non-t.':>7}"
               f"  {'of the limit':18} {'x PyTorch':18}  (and on further targets)")


def kernels_of(result):
    """The sides that are kernels: "kernel", and those on further targets."""
    return list(result["of_limit"])


def gigabytes_per_second(result, side):
    return result["traffic_bytes"] / result["seconds"][side]["median"] / 1e9


def ratio(spread):
    """As in "0.81 (0.79-0.83)": the median, and what 80 % lie between."""
    if spread is None:
        return "-"
    return "{median:.2f} ({p10:.2f}-{p90:.2f})".format_map(spread)


def text_line(result):
    """A row of the text table."""
    sides = ["kernel", *row_of(result["name"]).limits]
    line = f"{result['name']:68}" + "".join(
        f" {gigabytes_per_second(result, side):7.2f}" for side in sides)
    for kernel in kernels_of(result):
        line += (f"  {ratio(result['of_limit'][kernel]):18}"
                 f" {ratio(result['x_torch'].get(kernel)):18}")
    if result["disturbed_rounds"]:
        line += f"  {result['disturbed_rounds']} rounds disturbed"
    return line.rstrip()


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def medians(results, key, kernel):
    """Of the rows that were measured undisturbed: others tell of the disturbance."""
    return {result["name"]: result[key][kernel]["median"] for result in results
            if kernel in result[key] and not result["disturbed_rounds"]}


def families(results):
    """(direction, dtype, layout, threads) -> its results."""
    found = {}
    for result in results:
        row = row_of(result["name"])
        key = row.direction, row.dtype, row.layout, row.threads
        found.setdefault(key, []).append(result)
    return found


def means(results, kernel):
    """Geometric means and lowest values, as four cells."""
    cells = []
    for key in ("of_limit", "x_torch"):
        values = medians(results, key, kernel)
        if values:
            lowest = min(values, key=values.get)
            cells += [f"{geometric_mean(values.values()):.2f}",
                      f"{values[lowest]:.2f} {row_of(lowest).shape_name}"]
        else:
            cells += ["-", "-"]
    return cells


def text_means(results):
    """The geometric means, a line for each family and target."""
    lines = ["", f"{'Geometric means, and lowest':52} {'of limit':>8}  {'':26}"
                 f" {'x PyTorch':>9}"]
    for (direction, dtype, layout, threads), family in families(results).items():
        name = f"{direction}/{dtype}/{layout}/threads:{threads}"
        for kernel in kernels_of(family[0]):
            limit, worst_limit, torch, worst_torch = means(family, kernel)
            lines.append(f"{name:42} {kernel.removeprefix('kernel_'):9} {limit:>8}"
                         f"  {worst_limit:26} {torch:>9}  {worst_torch}")
    return "\n".join(lines)


def table(header, rows):
    """A table of Markdown: the first column to the left, the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def target_names(about, kernels):
    """Kernel -> what it ran on, for people."""
    names = {"kernel_avx512": "AVX-512", "kernel_avx2": "AVX2",
             "kernel_portable": "portable"}
    return {kernel: names.get(kernel, about["simd_target"]) for kernel in kernels}


def means_table(results, names):
    header = ["geometric mean, and lowest"]
    for name in names.values():
        header += [f"{name}: of the limit", "lowest", "x PyTorch", "lowest"]
    return table(header, [
        [f"{direction} {dtype} {layout.replace('_', ' ')}, {threads} thread"
         + "s" * (threads > 1),
         *(cell for kernel in names for cell in means(family, kernel))]
        for (direction, dtype, layout, threads), family in families(results).items()])


def shapes_table(results, names):
    """Every shape of one family."""
    header = ["shape", "MB moved", "GB/s", *row_of(results[0]["name"]).limits]
    header = [cell.replace("_", " ") for cell in header]
    for name in names.values():
        header += [f"{name}: of the limit", "x PyTorch"]
    lines = []
    for result in results:
        row = row_of(result["name"])
        disturbed = " *" if result["disturbed_rounds"] else ""
        cells = [row.shape_name + disturbed, f"{result['traffic_bytes'] / 1e6:.3g}"]
        cells += [f"{gigabytes_per_second(result, side):.1f}"
                  for side in ("kernel", *row.limits)]
        for kernel in names:
            cells += [ratio(result[key].get(kernel)) for key in ("of_limit", "x_torch")]
        lines.append(cells)
    return table(header, lines)


def aims_table(results, names):
    header = ["aim: wanted, and found", "the limit itself, x PyTorch"]
    for name in names.values():
        header += [f"{name}: of the limit", "x PyTorch"]
    return table(header, aims_rows(results, names))


def losses(results, names):
    """Where PyTorch is faster: all of it, worst first."""
    lost = [(result["x_torch"][kernel]["median"], result, kernel)
            for result in results for kernel in names
            if result["x_torch"].get(kernel, {"median": 1})["median"] < 1]
    if not lost:
        return "No row is slower than PyTorch."
    lost.sort(key=lambda loss: loss[0])
    count = sum(len(result["x_torch"]) for result in results)
    return (f"PyTorch is faster in {len(lost)} of {count} comparisons:\n\n" + table(
        ["row", "target", "x PyTorch"],
        [[result["name"], names[kernel], ratio(result["x_torch"][kernel])]
         for _, result, kernel in lost[:20]])
        + (f"\n\nand {len(lost) - 20} more, in results/results.txt."
           if len(lost) > 20 else ""))


def about_text(about):
    torch = (f"PyTorch {about['torch']} ({about['cpu_capability']})"
             if "torch" in about else "without PyTorch")
    return (f"{about['cpu']}, {about['cpus']} processors, L3 "
            f"{about['l3_bytes'] >> 20} MiB, {about['system']}; {about['compiler']}; "
            f"{torch}; {about['date']}; medians of {about['rounds']} rounds, in "
            "parentheses 10 to 90 %.")


def disturbance_text(results):
    count = sum(result["disturbed_rounds"] > 0 for result in results)
    return (f"{len(results)} rows. In {count} of them, marked with a *, the machine was "
            "busy with other things; the means leave these out.")


def markdown(about, results):
    names = target_names(about, kernels_of(results[0]))
    parts = [about_text(about), disturbance_text(results), means_table(results, names),
             "#### Beside the aims", aims_table(results, names)]
    for (direction, dtype, layout, threads), family in families(results).items():
        if dtype == "float32":
            title = (f"#### {direction.capitalize()}, {layout.replace('_', ' ')}, "
                     f"{threads} thread{'s' * (threads > 1)}")
            parts += [title, shapes_table(family, names)]
    parts += ["#### Where we lose", losses(results, names)]
    return "\n\n".join(parts)


def draw(results, path):
    """Both ratios over the size, for float32 on one thread."""
    import matplotlib
    matplotlib.use("svg")
    # The same bytes every time.
    matplotlib.rcParams.update({"svg.hashsalt": "groupnorm", "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4))
    titles = {"of_limit": "fraction of the limit", "x_torch": "x PyTorch"}
    for axis, (key, title) in zip(axes, titles.items()):
        for (direction, dtype, layout, threads), family in families(results).items():
            drawn = [result for result in family if "kernel" in result[key]]
            if dtype != "float32" or threads != 1 or not drawn:
                continue
            spreads = [result[key]["kernel"] for result in drawn]
            axis.errorbar(
                [result["traffic_bytes"] / 1e6 for result in drawn],
                [spread["median"] for spread in spreads],
                [[spread["median"] - spread["p10"] for spread in spreads],
                 [spread["p90"] - spread["median"] for spread in spreads]],
                color="tab:blue" if direction == "forward" else "tab:red",
                linestyle="-" if layout == "channels_first" else ":",
                marker="o" if layout == "channels_first" else "x", elinewidth=0.8,
                label=f"{direction}, {layout.replace('_', ' ')}")
        axis.axhline(1, color="grey", linewidth=0.8)
        axis.set(xscale="log", xlabel="MB moved", title=title,
                 yscale="log" if key == "x_torch" else "linear")
        axis.minorticks_off()
    axes[0].set_ylim(bottom=0)
    if axes[0].containers:
        axes[0].legend(fontsize=8)
    figure.suptitle("float32, one thread: medians, and 10 to 90 %")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def read_results(folder):
    """What the files are about, and the rows of all in the order of the tables."""
    abouts, results = [], {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        abouts.append(content["about"])
        results |= {result["name"]: result for result in content["rows"]}
    return abouts, sorted(results.values(),
                          key=lambda result: row_of(result["name"]).order)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results")
    parser.add_argument("--readme", type=pathlib.Path, default=HERE / "README.md")
    options = parser.parse_args()
    abouts, results = read_results(options.results)
    if not results:
        parser.error(f"{options.results} has no results")
    for key in ("cpu", "compiler", "simd_target", "torch", "rounds"):
        if len({about.get(key) for about in abouts}) > 1:
            parser.error(f"the results differ in {key}: measure all of them again")

    before, _, rest = options.readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    options.readme.write_text(
        f"{before}{BEGIN}\n\n{markdown(abouts[0], results)}\n\n{END}{after}")
    (options.results / "results.txt").write_text("\n".join(
        [about_text(abouts[0]), "", TEXT_HEADER, *map(text_line, results),
         text_means(results)]) + "\n")
    draw(results, options.results / "float32.svg")


if __name__ == "__main__":
    main()

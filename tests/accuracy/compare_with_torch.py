#!/usr/bin/env python3
"""Sets the errors of groupnorm beside PyTorch's, on the same data.

    compare_with_torch.py GROUPNORM [--quick]

GROUPNORM is the program of that name; it computes in its own process. Prints a
Markdown table for each layout. A row is a kind of float32 values, a column the
largest error of a result, in units in the last place of max(|result|, T), where
T is its typical magnitude (docs/math.md). The reference is NumPy's long double.
Where the result has to be 0, these are units of the smallest number.

Without PyTorch its columns stay empty. Ends with status 1 where groupnorm's
error is above its bound of 3 units.
"""

import argparse
import dataclasses
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

try:
    import torch
except ImportError:
    torch = None

EPSILON = 1e-5
BOUND = 3
RESULTS = ("output", "grad_input", "grad_weight")


@dataclasses.dataclass
class Row:
    values: str
    shape: tuple  # (N, C, H, W).
    num_groups: int
    x: np.ndarray


@dataclasses.dataclass
class Problem:
    """A row with the rest of its data, all float32. Without a bias, beside which
    the errors of small outputs would vanish."""

    x: np.ndarray
    dy: np.ndarray
    weight: np.ndarray
    num_groups: int


def kinds_of_values(shape, rng):
    """Yields the name of each kind of values and values of that kind."""
    normal = rng.standard_normal(shape)
    yield "benign", normal
    for mean in ("30", "1e2", "1e3", "3e3", "1e4", "1e5"):
        yield f"mean {mean}, std 1", float(mean) + normal
    yield "mean 1e6, std 0.1", 1e6 + 0.1 * normal
    yield "1e30", 1e30 * normal
    yield "1e-30", 1e-30 * normal
    yield "subnormal", 1e-39 * normal
    outlier = normal.copy()
    outlier.flat[outlier.size // 3] = 1e6
    yield "one outlier of 1e6", outlier
    means = np.linspace(0, 600, shape[1]).reshape(1, -1, 1, 1)
    yield "channel means 0 to 600", means + normal
    yield "constant", np.full(shape, 0.7)
    yield "uniform, 0 to 255", rng.uniform(0, 255, shape)


def rows(quick):
    """All kinds in groups of 64 Ki values; about means also of 4 Mi."""
    rng = np.random.default_rng(20260501)
    shape, num_groups = ((2, 8, 32, 32), 2) if quick else ((1, 16, 128, 128), 4)
    for name, x in kinds_of_values(shape, rng):
        yield Row(name, shape, num_groups, x.astype(np.float32))
    if quick:
        return
    shape = (1, 4, 1024, 1024)
    for name, x in kinds_of_values(shape, rng):
        if name.startswith("mean"):
            yield Row(name, shape, 1, x.astype(np.float32))


def problem_of(row):
    rng = np.random.default_rng(7)
    channels = row.shape[1]
    return Problem(
        x=row.x,
        dy=(0.25 + rng.standard_normal(row.shape)).astype(np.float32),
        weight=rng.normal(1, 0.5, channels).astype(np.float32),
        num_groups=row.num_groups,
    )


def reference(problem):
    """The results and, for each, max(|result|, T), by name, in long double."""
    shape = problem.x.shape
    grouped = (shape[0], problem.num_groups, -1)
    wide = np.longdouble
    x = problem.x.astype(wide).reshape(grouped)
    # Subtracting a value first loses nothing at means of any size.
    x = x - x[..., :1]
    x -= x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + wide(EPSILON))
    xhat = x * rstd
    by_channel = (1, -1, 1, 1)
    weight = problem.weight.astype(wide).reshape(by_channel)
    dy = problem.dy.astype(wide)

    def rms(values):
        return np.sqrt((values * values).mean(-1, keepdims=True))

    y = xhat.reshape(shape) * weight
    y_typical = np.abs(weight) * np.broadcast_to(
        rms(xhat), x.shape).reshape(shape)

    terms = (dy * weight).reshape(grouped)
    constant = terms.mean(-1, keepdims=True)
    slope = (terms * xhat).mean(-1, keepdims=True)
    dx = rstd * (terms - constant - xhat * slope)
    dx_typical = rstd * np.maximum(
        rms(terms), np.abs(terms) + np.abs(constant) + np.abs(xhat * slope))

    products = dy * xhat.reshape(shape)
    values = {
        "output": (y, y_typical),
        "grad_input": (dx.reshape(shape), dx_typical.reshape(shape)),
        "grad_weight": (products.sum((0, 2, 3)),
                        np.sqrt((products * products).sum((0, 2, 3)))),
    }
    return {name: (value, np.maximum(np.abs(value), typical))
            for name, (value, typical) in values.items()}


def error_in_ulp(actual, expected):
    """The largest; infinite where a result is not finite."""
    value, magnitude = expected
    _, exponent = np.frexp(magnitude)
    exponent = np.where(magnitude == 0, -125, np.maximum(exponent, -125))
    ulp = np.ldexp(np.longdouble(1), exponent - 24)
    errors = np.abs(actual.astype(np.longdouble) - value) / ulp
    return float(np.where(np.isfinite(actual), errors, np.inf).max())


def run(command):
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")


def run_groupnorm(program, problem, channels_last):
    """The results of both calls of the program, by name, as (N, C, H, W)."""

    def to_file(array):
        array = array.transpose(0, 2, 3, 1) if channels_last else array
        return np.ascontiguousarray(array)

    with tempfile.TemporaryDirectory() as folder:
        path = {name: str(pathlib.Path(folder, name + ".npy"))
                for name in ("x", "dy", "weight", *RESULTS)}
        np.save(path["x"], to_file(problem.x))
        np.save(path["dy"], to_file(problem.dy))
        np.save(path["weight"], problem.weight)
        options = ["--num-groups", str(problem.num_groups),
                   "--epsilon", str(EPSILON), "--weight", path["weight"],
                   "--layout",
                   "channels-last" if channels_last else "channels-first"]
        run([program, "forward", path["x"], *options,
             "--output", path["output"]])
        run([program, "backward", path["x"], path["dy"], *options,
             "--grad-input", path["grad_input"],
             "--grad-weight", path["grad_weight"]])
        results = {name: np.load(path[name]) for name in RESULTS}
    if channels_last:
        for name in ("output", "grad_input"):
            results[name] = results[name].transpose(0, 3, 1, 2)
    return results


def run_torch(problem, channels_last):
    memory_format = (torch.channels_last
                     if channels_last else torch.contiguous_format)

    def tensor(array):
        return torch.from_numpy(array).contiguous(memory_format=memory_format)

    x = tensor(problem.x).requires_grad_()
    weight = torch.from_numpy(problem.weight).requires_grad_()
    y = torch.nn.functional.group_norm(
        x, problem.num_groups, weight, None, EPSILON)
    y.backward(tensor(problem.dy))
    return {"output": y.detach().numpy(), "grad_input": x.grad.numpy(),
            "grad_weight": weight.grad.numpy()}


def cell(error):
    if error is None:
        return ""
    if np.isinf(error):
        return "not finite"
    return f"{error:.2f}" if error < 100 else f"{error:.1e}"


def print_heading(channels_last):
    print(f"\nChannels {'last' if channels_last else 'first'}:\n")
    print("| values | in a group |"
          + "".join(f" {name} | PyTorch |" for name in RESULTS))
    print("|---|--:|" + "--:|--:|" * len(RESULTS))


def print_row(program, row, channels_last):
    """Prints a row; returns groupnorm's largest error in it."""
    problem = problem_of(row)
    expected = reference(problem)
    ours = run_groupnorm(program, problem, channels_last)
    theirs = run_torch(problem, channels_last) if torch else None
    in_a_group = row.x.size // row.shape[0] // row.num_groups
    cells = [row.values, f"{in_a_group:,}"]
    worst = 0
    for name in RESULTS:
        error = error_in_ulp(ours[name], expected[name])
        worst = max(worst, error)
        cells.append(cell(error))
        cells.append(
            cell(error_in_ulp(theirs[name], expected[name]) if theirs else None))
    print("| " + " | ".join(cells) + " |", flush=True)
    return worst


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groupnorm", help="the program")
    parser.add_argument("--quick", action="store_true",
                        help="small groups only, in a few seconds")
    options = parser.parse_args()
    if torch:
        print(f"PyTorch {torch.__version__}, "
              f"{torch.backends.cpu.get_cpu_capability()}, NumPy "
              f"{np.__version__}")
    else:
        print("PyTorch is not installed: its columns are empty.")
    worst = 0
    for channels_last in (False, True):
        print_heading(channels_last)
        for row in rows(options.quick):
            worst = max(worst, print_row(options.groupnorm, row, channels_last))
    if worst > BOUND:
        print(f"groupnorm is up to {worst:.2f} units off, {BOUND} are allowed",
              file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

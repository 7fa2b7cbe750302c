"""Requests that the service computes: the grid of options, then the hard values
and the unusual encodings."""

import dataclasses
import math

import group_norm
from elements import Numbers, round_to, tensor
from wire import (CHANNELS_FIRST, CHANNELS_LAST, GRADIENT_BIAS, GRADIENT_INPUT,
                  GRADIENT_WEIGHT, Request, bytes_field, double_field,
                  varint_field)

DTYPES = ["FLOAT32", "FLOAT64", "FLOAT16", "BFLOAT16"]
ALL_GRADIENTS = (GRADIENT_INPUT, GRADIENT_WEIGHT, GRADIENT_BIAS)
GRADIENT_PATHS = {GRADIENT_INPUT: "grad_input", GRADIENT_WEIGHT: "grad_weight",
                  GRADIENT_BIAS: "grad_bias"}


@dataclasses.dataclass
class Case:
    """A computation, before its numbers are drawn. `shape` is (N, C, *) in
    either layout."""

    name: str
    method: str = "Forward"
    dtype: str = "FLOAT32"
    shape: tuple = (2, 6, 5)
    num_groups: int = 3
    channels_last: bool = False
    layout_unset: bool = False
    epsilon: float = None  # Unset, which means 1e-5.
    weight: str = None  # Element type; None: absent.
    bias: str = None
    statistics: str = None  # Element type; None: computed by the service.
    given: tuple = None  # Means, rstds; None: those of the input, rounded.
    frozen: bool = False
    per_sample: bool = False
    gradients: tuple = ()
    mean: float = 0.0
    std: float = 1.0
    weight_scale: float = 1.0
    values: dict = dataclasses.field(default_factory=dict)  # By index, of x.
    grad_values: dict = dataclasses.field(default_factory=dict)  # Of dy.
    all_values: tuple = None  # Instead of pseudo-random ones.
    differences: bool = True  # Confirm gradients by finite differences.

    def wire_shape(self):
        if not self.channels_last:
            return list(self.shape)
        return [self.shape[0], *self.shape[2:], self.shape[1]]


def draw(case):
    """The Problem of a case and its Request."""
    numbers = Numbers(case.name)
    shape = case.wire_shape()
    size = math.prod(shape)
    channels = case.shape[1]
    x = numbers.normals(case.dtype, size, case.mean, case.std)
    if case.all_values is not None:
        x = [round_to(case.dtype, value) for value in case.all_values]
    for i, value in case.values.items():
        x[i] = value
    problem = group_norm.Problem(
        case.dtype, shape, case.channels_last, case.num_groups,
        1e-5 if case.epsilon is None else case.epsilon, x,
        frozen=case.frozen, per_sample=case.per_sample)
    request = Request(num_groups=case.num_groups, epsilon=case.epsilon)
    if not case.layout_unset:
        request.layout = CHANNELS_LAST if case.channels_last else CHANNELS_FIRST
    request.input = tensor(case.dtype, shape, x)
    if case.weight:
        problem.weight = numbers.normals(case.weight, channels, 0.25,
                                         case.weight_scale)
        problem.weight_dtype = case.weight
        request.weight = tensor(case.weight, [channels], problem.weight)
    if case.bias:
        problem.bias = numbers.normals(case.bias, channels)
        request.bias = tensor(case.bias, [channels], problem.bias)
    if case.statistics:
        give_statistics(case, problem, request)
    if case.method == "Backward":
        problem.dy = numbers.normals(case.dtype, size, 0.1)
        for i, value in case.grad_values.items():
            problem.dy[i] = value
        request.grad_output = tensor(case.dtype, shape, problem.dy)
        request.gradients = case.gradients
        request.frozen_statistics = case.frozen
        request.per_sample_gradients = case.per_sample
    return problem, request


def give_statistics(case, problem, request):
    if case.given:
        means, rstds = case.given
    else:
        own = group_norm.forward(problem)
        means = [float(v) for v in own["statistics.mean"].values]
        rstds = [float(v) for v in own["statistics.rstd"].values]
    problem.mean = [round_to(case.statistics, value) for value in means]
    problem.rstd = [round_to(case.statistics, value) for value in rstds]
    shape = [problem.batch, problem.num_groups]
    request.mean = tensor(case.statistics, shape, problem.mean)
    request.rstd = tensor(case.statistics, shape, problem.rstd)


def expected_outputs(case, problem):
    if case.method == "Forward":
        return group_norm.forward(problem)
    gradients = group_norm.backward(problem)
    slopes_exist = case.frozen or not problem.statistics_given()
    if case.differences and slopes_exist and not case.per_sample:
        group_norm.confirm_by_finite_differences(problem, gradients)
    wanted = {GRADIENT_PATHS[g] for g in case.gradients or ALL_GRADIENTS}
    return {path: output for path, output in gradients.items()
            if path in wanted}


def option_grid():
    """Every dtype, layout, parameter and way of statistics; shape, groups,
    epsilon and the parameters' dtypes rotate."""
    shapes = [((2, 6), 2), ((1, 6, 5), 3), ((2, 4, 3, 3), 1),
              ((1, 6, 2, 1, 3), 6), ((3, 5, 3), 5), ((1, 9, 7), 3),
              ((2, 3, 1, 5), 1)]
    epsilons = [None, 1e-3, 0.02, 0.5, 1e-12]
    means = [0.0, 3.0, -1.0]
    cases = []
    for d, dtype in enumerate(DTYPES):
        for channels_last in [False, True]:
            for parameters in ["none", "weight", "bias", "both"]:
                for statistics in ["own", "given", "frozen"]:
                    k = len(cases)
                    shape, num_groups = shapes[k % len(shapes)]
                    has_weight = parameters in ["weight", "both"]
                    has_bias = parameters in ["bias", "both"]
                    given = None if statistics == "own" else DTYPES[
                        1 if k % 2 else (d + 3) % 4]
                    common = dict(
                        dtype=dtype, shape=shape, num_groups=num_groups,
                        channels_last=channels_last,
                        epsilon=epsilons[k % len(epsilons)],
                        weight=DTYPES[(d + k) % 4] if has_weight else None,
                        statistics=given, mean=means[k % len(means)])
                    label = "-".join([
                        dtype.lower(),
                        "channels-last" if channels_last else "channels-first",
                        parameters, statistics])
                    if statistics != "frozen":  # Forward's always are.
                        cases.append(Case(
                            "forward-" + label,
                            bias=DTYPES[(d + k + 1) % 4] if has_bias else None,
                            **common))
                    if not has_bias:
                        cases.append(Case("backward-" + label,
                                          method="Backward",
                                          frozen=statistics == "frozen",
                                          **common))
    return cases


def gradient_choices():
    subsets = {"input": (1,), "weight": (2,), "bias": (3,),
               "input-bias": (3, 1), "weight-twice": (2, 2),
               "weight-bias": (2, 3), "all-by-name": (1, 2, 3)}
    cases = [Case(f"backward-gradients-{name}", method="Backward",
                  shape=(2, 4, 3), num_groups=2, gradients=gradients)
             for name, gradients in subsets.items()]
    for dtype, weight in [("FLOAT32", None), ("BFLOAT16", "FLOAT32"),
                          ("FLOAT64", "FLOAT16")]:
        cases.append(Case(
            f"backward-per-sample-{dtype.lower()}", method="Backward",
            dtype=dtype, shape=(3, 4, 5), num_groups=2, weight=weight,
            per_sample=True))
    cases.append(Case(
        "backward-per-sample-given", method="Backward", shape=(3, 4, 5),
        num_groups=2, statistics="FLOAT64", per_sample=True,
        channels_last=True))
    cases.append(Case(
        "backward-per-sample-weight-only", method="Backward",
        shape=(3, 4, 5), num_groups=4, gradients=(2,), per_sample=True))
    return cases


def both_methods(name, **options):
    return [Case(f"{method.lower()}-{name}", method=method, **options)
            for method in ["Forward", "Backward"]]


def hard_magnitudes():
    """Where epsilon vanishes beside the variance, a weight keeps the typical
    magnitude away from 1: there the unit in the last place doubles, and the
    last bit of a computation would decide on the bound."""
    cases = []
    for mean in [30.0, 1e3, 1e4, 1e6]:
        cases += both_methods(f"float32-mean-{mean:.0e}", mean=mean,
                              weight="FLOAT32")
    cases += both_methods("float64-mean-1e10", dtype="FLOAT64", mean=1e10)
    cases += both_methods("bfloat16-mean-30", dtype="BFLOAT16", mean=30.0)
    cases += both_methods("float16-mean-1e3", dtype="FLOAT16", mean=1e3,
                          std=4.0)
    for dtype in ["FLOAT32", "BFLOAT16", "FLOAT64"]:
        cases += both_methods(f"{dtype.lower()}-at-1e30", dtype=dtype,
                              mean=1e30, std=3e29, weight="FLOAT32")
    cases += both_methods("float32-wide-1e30", std=1e30, channels_last=True,
                          weight="FLOAT16")
    for dtype, smallest in [("FLOAT32", 2.0**-149), ("FLOAT16", 2.0**-24),
                            ("BFLOAT16", 2.0**-133)]:
        # Denormal numbers, with an epsilon that does not hide them.
        cases += both_methods(f"{dtype.lower()}-denormal", dtype=dtype,
                              std=30 * smallest, epsilon=0.0,
                              weight="FLOAT32")
    cases += both_methods("float32-denormal-default-epsilon",
                          std=30 * 2.0**-149)
    cases += both_methods("float64-1e-150", dtype="FLOAT64", std=1e-149,
                          mean=1e-148, epsilon=0.0)
    cases += both_methods("float64-1e149", dtype="FLOAT64", std=1e149)
    cases += both_methods("float32-outlier", values={7: 2.0**66},
                          weight="FLOAT64")
    cases.append(Case("forward-float16-overflow", dtype="FLOAT16",
                      weight="FLOAT32", weight_scale=1e5))
    cases.append(Case("forward-float32-overflow", weight="FLOAT64",
                      weight_scale=1e39))
    return cases


def degenerate_groups():
    cases = []
    for dtype in DTYPES:
        # Five values of 0.1 that do not sum to 0.5 in float64.
        cases.append(Case(
            f"forward-{dtype.lower()}-constant", dtype=dtype, shape=(1, 2, 5),
            num_groups=2, all_values=(0.1,) * 5 + (7,) * 5, bias=dtype))
    constant = dict(shape=(1, 2, 5), num_groups=2,
                    all_values=(0.1,) * 5 + (1, 2, 3, 4, 6))
    cases += both_methods("constant-group", **constant)
    cases += both_methods("constant-group-epsilon-0", epsilon=0.0,
                          differences=False, **constant)
    cases += both_methods("one-value-per-group", shape=(2, 4), num_groups=4,
                          weight="FLOAT32")
    cases.append(Case("forward-one-value-per-group-bias", shape=(2, 4, 1),
                      num_groups=4, weight="FLOAT32", bias="FLOAT16"))
    cases.append(Case("forward-one-value-per-group-epsilon-0", shape=(2, 4),
                      num_groups=4, epsilon=0.0))
    for name, value in [("nan", math.nan), ("infinity", math.inf),
                        ("minus-infinity", -math.inf)]:
        for dtype in ["FLOAT32", "BFLOAT16"]:
            cases += both_methods(f"{dtype.lower()}-{name}-in-one-group",
                                  dtype=dtype, shape=(2, 4, 3), num_groups=2,
                                  values={7: value}, differences=False)
    for name, value in [("nan", math.nan), ("infinity", math.inf)]:
        cases.append(Case(
            f"backward-{name}-in-grad-output", method="Backward",
            shape=(2, 4, 3), num_groups=2, grad_values={7: value},
            differences=False))
        cases.append(Case(
            f"backward-frozen-{name}-in-grad-output", method="Backward",
            shape=(2, 4, 3), num_groups=2, grad_values={7: value},
            statistics="FLOAT64", frozen=True, differences=False))
        cases.append(Case(
            f"forward-given-{name}-in-input", shape=(2, 4, 3), num_groups=2,
            values={7: value}, statistics="FLOAT64",
            given=([0.5, -0.5, 1, 2], [1, 2, 0.5, 3])))
    return cases


def given_statistics():
    arbitrary = ([0.5, -0.25, 3.0, 100.0], [1.5, 0.25, -2.0, 8.0])
    options = dict(shape=(2, 4, 3), num_groups=2, given=arbitrary,
                   weight="FLOAT32")
    cases = []
    for dtype in DTYPES:
        cases.append(Case(f"forward-arbitrary-statistics-{dtype.lower()}",
                          statistics=dtype, **options))
        cases.append(Case(f"backward-arbitrary-statistics-{dtype.lower()}",
                          method="Backward", statistics=dtype, **options))
    cases.append(Case("backward-arbitrary-statistics-frozen",
                      method="Backward", statistics="FLOAT64", frozen=True,
                      **options))
    # As Forward returns them for a group that holds a NaN.
    of_nan = ([0.5, math.nan, 0, 0], [1, math.nan, 1, 1])
    cases += both_methods("nan-statistics", shape=(2, 4, 3), num_groups=2,
                          statistics="FLOAT64", given=of_nan)
    return cases


def empty_tensors():
    cases = []
    for name, shape in [("no-samples", (0, 6, 5)), ("no-positions", (2, 6, 0)),
                        ("nothing", (0, 6, 0, 3))]:
        for channels_last in [False, True]:
            suffix = name + ("-channels-last" if channels_last else "")
            cases += both_methods(f"empty-{suffix}", shape=shape, num_groups=2,
                                  channels_last=channels_last,
                                  weight="FLOAT64")
    cases += both_methods(
        "empty-given-statistics", shape=(2, 6, 0), num_groups=2,
        statistics="FLOAT32", given=([1, 2, 3, 4], [5, 6, 7, 8]))
    cases.append(Case("backward-empty-per-sample", method="Backward",
                      shape=(2, 3, 0), num_groups=1, per_sample=True))
    cases.append(Case("backward-empty-no-samples-per-sample",
                      method="Backward", shape=(0, 3, 2), num_groups=1,
                      per_sample=True))
    return cases


def plain_cases():
    cases = (option_grid() + gradient_choices() + hard_magnitudes()
             + degenerate_groups() + given_statistics() + empty_tensors())
    cases.append(Case("forward-layout-unset", layout_unset=True))
    cases.append(Case("forward-rank-16", shape=(1, 4) + (1,) * 12 + (2, 3),
                      num_groups=2))
    cases.append(Case("backward-300-values", method="Backward",
                      shape=(1, 3, 10, 10), num_groups=1, dtype="BFLOAT16",
                      weight="FLOAT32", differences=False))
    return cases


def unusual_encodings(case):
    """The same computation, its request written in ways that are rare but
    valid: (name, bytes)."""
    _, request = draw(case)
    plain = request.encode("Forward")
    config = bytes_field(1, request.encode_config())
    weight = bytes_field(2, request.weight.encode())
    source = request.input
    in_front = bytes_field(15, varint_field(1, source.dtype)
                           + varint_field(2, source.shape[0]))
    behind = bytes_field(15, b"".join(varint_field(2, extent)
                                      for extent in source.shape[1:])
                         + bytes_field(15, source.data))
    return [
        ("fields-backwards", bytes_field(15, source.encode()) + weight + config),
        ("input-in-two-parts", in_front + config + weight + behind),
        ("last-scalar-wins", bytes_field(
            1, varint_field(1, 99) + double_field(2, -1.0)) + plain),
        ("unknown-fields", varint_field(1000, 7) + bytes_field(77, b"junk")
         + plain + double_field(1001, 1.5)),
        ("dtype-beyond-32-bits", config + weight + bytes_field(
            15, dataclasses.replace(
                source, dtype=2**32 + source.dtype).encode())),
        ("known-field-of-another-type", varint_field(15, 3) + plain),
        # The tag of weight in three bytes instead of one.
        ("over-long-varint", bytes([weight[0] | 0x80, 0x80, 0x00]) + weight[1:]
         + config + bytes_field(15, source.encode())),
    ]


def accepted():
    """Quadruples (name, method, request bytes, outputs)."""
    cases = []
    for case in plain_cases():
        problem, request = draw(case)
        cases.append((case.name, case.method, request.encode(case.method),
                      expected_outputs(case, problem)))
    base = Case("encoding", shape=(1, 4, 3), num_groups=2, epsilon=1e-3,
                weight="FLOAT16")
    problem, _ = draw(base)
    for name, request in unusual_encodings(base):
        cases.append((f"encoding-{name}", "Forward", request,
                      expected_outputs(base, problem)))
    # A list in several pieces, one of them not packed.
    pieces = Case("encoding-gradients-in-pieces", method="Backward",
                  shape=(1, 4, 3), num_groups=2)
    problem, request = draw(pieces)
    cases.append((
        pieces.name, "Backward",
        request.encode("Backward") + varint_field(4, GRADIENT_WEIGHT)
        + bytes_field(4, bytes([GRADIENT_INPUT, GRADIENT_WEIGHT])),
        expected_outputs(dataclasses.replace(
            pieces, gradients=(GRADIENT_INPUT, GRADIENT_WEIGHT)), problem)))
    # More channels than memory, none of them with a value.
    many = Request(num_groups=1, input=tensor("FLOAT32", [1, 2**40, 0], []))
    output, exact = group_norm.Output, [group_norm.EXACT]
    cases.append(("forward-empty-2-to-40-channels", "Forward",
                  many.encode("Forward"), {
                      "statistics.mean": output(
                          "FLOAT64", [1, 1], [group_norm.mpf(0)], exact),
                      "statistics.rstd": output(
                          "FLOAT64", [1, 1], [group_norm.NAN], exact),
                      "output": output("FLOAT32", [1, 2**40, 0], [], []),
                  }))
    return cases

"""Group normalization, its gradients and the errors it allows, in 400 bits.

Written from docs/math.md, not from the C++ reference: the gradients follow from
the sums ds and db of every channel, and are confirmed by finite differences.
"""

import dataclasses
import math

from mpmath import mp, mpf

from elements import FORMATS

mp.prec = 400

NAN, INFINITY = mpf("nan"), mpf("inf")
EXACT = mpf(0)


@dataclasses.dataclass
class Output:
    """A tensor of a response: what it should be and how far it may be off."""

    dtype: str
    shape: list
    values: list
    bounds: list


@dataclasses.dataclass
class Problem:
    """One computation. Tensors are lists of floats in the order of the request;
    absent ones are None."""

    dtype: str
    shape: list
    channels_last: bool
    num_groups: int
    epsilon: float
    x: list
    weight: list = None
    weight_dtype: str = None
    bias: list = None
    mean: list = None
    rstd: list = None
    dy: list = None
    frozen: bool = False
    per_sample: bool = False

    def __post_init__(self):
        self.batch = self.shape[0]
        self.channels = self.shape[-1 if self.channels_last else 1]
        spatial = self.shape[1:-1] if self.channels_last else self.shape[2:]
        self.spatial = math.prod(spatial)
        self.group_size = self.channels // self.num_groups

    def index(self, n, c, s):
        if self.channels_last:
            return (n * self.spatial + s) * self.channels + c
        return (n * self.channels + c) * self.spatial + s

    def group(self, n, g):
        """Pairs (channel, index) of the values of a (sample, group)."""
        if self.spatial == 0:
            return []
        first = g * self.group_size
        return [(c, self.index(n, c, s))
                for c in range(first, first + self.group_size)
                for s in range(self.spatial)]

    def groups(self):
        return [(n, g) for n in range(self.batch)
                for g in range(self.num_groups)]

    def weight_of(self, c):
        return mpf(1) if self.weight is None else mpf(self.weight[c])

    def bias_of(self, c):
        return mpf(0) if self.bias is None else mpf(self.bias[c])

    def statistics_given(self):
        return self.mean is not None


def is_finite(value):
    return bool(mp.isfinite(value))


def finite_rms(values):
    finite = [value for value in values if is_finite(value)]
    if not finite:
        return mpf(0)
    return mp.sqrt(mp.fsum(v * v for v in finite) / len(finite))


def unit_in_last_place(dtype, value):
    precision, min_exponent, _ = FORMATS[dtype]
    exponent = min_exponent
    if value != 0:
        exponent = max(mp.frexp(value)[1] - 1, min_exponent)
    return mpf(2) ** (exponent - (precision - 1))


def bound_if_not_finite(operands):
    """A NaN among the operands gives NaN in any order of the operations; what
    comes of infinities depends on the order."""
    return EXACT if any(mp.isnan(value) for value in operands) else INFINITY


def error_bound(dtype, magnitude, problem):
    if dtype != "FLOAT64":
        return 3 * unit_in_last_place("FLOAT32", magnitude)
    narrow = problem.dtype != "FLOAT64" and not problem.statistics_given()
    tolerance = mpf("1.1e-11") if narrow else mpf("1e-12")
    return max(tolerance * magnitude, unit_in_last_place("FLOAT64", mpf(0)))


def statistics_of(problem, x, n, g):
    """Mean, standard deviation and rstd of a group, computed from x."""
    values = [x[i] for _, i in problem.group(n, g)]
    if not values:
        return mpf(0), mpf(0), NAN
    if not all(is_finite(value) for value in values):
        return NAN, NAN, NAN
    mean = mp.fsum(values) / len(values)
    variance = mp.fsum((v - mean) ** 2 for v in values) / len(values)
    denominator = variance + mpf(problem.epsilon)
    rstd = INFINITY if denominator == 0 else 1 / mp.sqrt(denominator)
    return mean, mp.sqrt(variance), rstd


def used_statistics(problem, x, n, g):
    if problem.statistics_given():
        i = n * problem.num_groups + g
        return mpf(problem.mean[i]), mpf(0), mpf(problem.rstd[i])
    return statistics_of(problem, x, n, g)


def forward(problem):
    """The outputs of Forward, by their path in the response."""
    x = [mpf(value) for value in problem.x]
    shape = [problem.batch, problem.num_groups]
    mean = Output("FLOAT64", shape, [], [])
    rstd = Output("FLOAT64", shape, [], [])
    y = Output(problem.dtype, problem.shape, [None] * len(x), [None] * len(x))
    for n, g in problem.groups():
        m, std, r = used_statistics(problem, x, n, g)
        certain = (problem.statistics_given() or not is_finite(m)
                   or not is_finite(r))
        narrow = problem.dtype != "FLOAT64"
        mean.values.append(m)
        mean.bounds.append(EXACT if certain else mpf("1e-12") * std
                           + unit_in_last_place("FLOAT64", m))
        rstd.values.append(r)
        rstd.bounds.append(EXACT if certain else
                           mpf("1e-11" if narrow else "1e-12") * r)
        xhat = {i: (x[i] - m) * r for _, i in problem.group(n, g)}
        rms = finite_rms(xhat.values())
        for c, i in problem.group(n, g):
            value = xhat[i] * problem.weight_of(c) + problem.bias_of(c)
            typical = abs(problem.weight_of(c)) * rms + abs(problem.bias_of(c))
            y.values[i] = value
            y.bounds[i] = EXACT if not is_finite(value) else error_bound(
                problem.dtype, max(abs(value), typical), problem)
    return {"statistics.mean": mean, "statistics.rstd": rstd, "output": y}


def mean_rounding(problem, mean, rstd):
    """Backward rounds a mean that it computes to one float64 number."""
    if problem.statistics_given():
        return mpf(0)
    return abs(mean) * rstd * mpf(2) ** -52


def grad_input(problem):
    x, dy = [mpf(v) for v in problem.x], [mpf(v) for v in problem.dy]
    output = Output(problem.dtype, problem.shape, [None] * len(x),
                    [None] * len(x))
    for n, g in problem.groups():
        mean, _, r = used_statistics(problem, x, n, g)
        group = problem.group(n, g)
        wdy = {i: problem.weight_of(c) * dy[i] for c, i in group}
        big_ds = big_db = mpf(0)
        if not problem.frozen:
            for c, i in group:
                big_ds += problem.weight_of(c) * (dy[i] * (x[i] - mean))
                big_db += problem.weight_of(c) * dy[i]
        rms = finite_rms(wdy.values())
        d = mean_rounding(problem, mean, r)
        for c, i in group:
            centred = mpf(0) if problem.frozen else x[i] - mean
            terms = [r * wdy[i], -r**3 * big_ds / len(group) * centred,
                     -r * big_db / len(group)]
            if problem.frozen:
                terms = terms[:1]
            value = sum(terms)
            output.values[i] = value
            if not is_finite(value):
                output.bounds[i] = EXACT if problem.frozen else (
                    bound_if_not_finite([mean, r, *wdy.values(),
                                         *(x[j] for _, j in group)]))
                continue
            typical = max(abs(r) * rms, sum(abs(term) for term in terms))
            output.bounds[i] = error_bound(
                problem.dtype, max(abs(value), typical), problem
            ) + d * (1 + abs(centred * r)) * typical
    return output


def parameter_gradient(problem, of_weight):
    """grad_weight or grad_bias."""
    x, dy = [mpf(v) for v in problem.x], [mpf(v) for v in problem.dy]
    dtype = problem.weight_dtype or problem.dtype
    shape = [problem.channels]
    samples = [list(range(problem.batch))]
    if problem.per_sample:
        dtype, shape = "FLOAT64", [problem.batch, problem.channels]
        samples = [[n] for n in range(problem.batch)]
    output = Output(dtype, shape, [], [])
    for row in samples:
        for c in range(problem.channels):
            value = squares = rounding = mpf(0)
            operands = []
            for n in row:
                mean, _, r = used_statistics(problem, x, n,
                                             c // problem.group_size)
                d = mean_rounding(problem, mean, r)
                for s in range(problem.spatial):
                    i = problem.index(n, c, s)
                    operands += [mean, r, x[i], dy[i]]
                    term = dy[i] * (x[i] - mean) * r if of_weight else dy[i]
                    value += term
                    squares += term**2
                    if of_weight:
                        rounding += d * abs(dy[i])
            output.values.append(value)
            if is_finite(value):
                magnitude = max(abs(value), mp.sqrt(squares))
                bound = error_bound(dtype, magnitude, problem) + rounding
            else:
                bound = bound_if_not_finite(operands) if of_weight else EXACT
            output.bounds.append(bound)
    return output


def backward(problem):
    """All outputs of Backward, by their path in the response."""
    return {
        "grad_weight": parameter_gradient(problem, of_weight=True),
        "grad_bias": parameter_gradient(problem, of_weight=False),
        "grad_input": grad_input(problem),
    }


def loss_of_group(problem, x, n, g, weight_step=None, bias_step=None):
    """sum(dy y) over a (sample, group); the steps are pairs (channel, size)."""
    mean, _, r = used_statistics(problem, x, n, g)
    loss = mpf(0)
    for c, i in problem.group(n, g):
        weight, bias = problem.weight_of(c), problem.bias_of(c)
        if weight_step and weight_step[0] == c:
            weight += weight_step[1]
        if bias_step and bias_step[0] == c:
            bias += bias_step[1]
        loss += mpf(problem.dy[i]) * ((x[i] - mean) * r * weight + bias)
    return loss


def confirm_by_finite_differences(problem, gradients):
    """Fails where a gradient is not the slope of the loss sum(dy y).

    Not for given statistics that are not frozen: they are those of x only to
    within their rounding, and a difference would compute them again.
    """
    assert problem.frozen or not problem.statistics_given()
    assert not problem.per_sample
    x = [mpf(value) for value in problem.x]

    def confirm(slope, gradient, scale):
        assert abs(slope - gradient) <= mpf(10) ** -40 * scale, (slope, gradient)

    dx = gradients["grad_input"]
    for n, g in problem.groups():
        _, _, r = used_statistics(problem, x, n, g)
        h = mpf(10) ** -30 / abs(r)
        for _, i in problem.group(n, g):
            kept = x[i]
            x[i] = kept + h
            after = loss_of_group(problem, x, n, g)
            x[i] = kept - h
            before = loss_of_group(problem, x, n, g)
            x[i] = kept
            # The bound is some 1e-7 or 1e-12 of the typical magnitude.
            confirm((after - before) / (2 * h), dx.values[i],
                    dx.bounds[i] * mpf(10) ** 13)
    for c in range(problem.channels):
        g = c // problem.group_size
        for name in ["weight", "bias"]:
            slope = mpf(0)
            for n in range(problem.batch):
                step = {name + "_step": (c, mpf(1))}
                slope += (loss_of_group(problem, x, n, g, **step)
                          - loss_of_group(problem, x, n, g))
            output = gradients["grad_" + name]
            confirm(slope, output.values[c], output.bounds[c] * mpf(10) ** 13)

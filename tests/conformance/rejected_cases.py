"""Requests that the service rejects: every rule alone, then several faults at
once, of which the first in the order of the contract is reported."""

import copy
import dataclasses
import math

from elements import tensor
from wire import (CHANNELS_LAST, GRADIENT_INPUT, Request, Tensor, bytes_field,
                  varint, varint_field)

UNKNOWN_DTYPE = 5


@dataclasses.dataclass
class Rejection:
    """A request and how it must fail: the code, how the message begins, and
    what else it must contain."""

    name: str
    method: str
    request: bytes
    prefix: str
    parts: tuple = ()
    code: str = "INVALID_ARGUMENT"


@dataclasses.dataclass
class Fault:
    """What makes a good request bad."""

    name: str
    apply: callable
    prefix: str
    parts: tuple = ()
    code: str = "INVALID_ARGUMENT"


def good_request(method):
    """Every field set, so that each can be made faulty."""
    shape = [2, 6, 4]
    request = Request(
        num_groups=3, epsilon=1e-3, layout=1,
        weight=tensor("FLOAT32", [6], [1.0] * 6),
        mean=tensor("FLOAT64", [2, 3], [0.0] * 6),
        rstd=tensor("FLOAT64", [2, 3], [1.0] * 6),
        input=tensor("FLOAT32", shape, [float(i) for i in range(48)]))
    if method == "Forward":
        request.bias = tensor("FLOAT16", [6], [0.0] * 6)
    else:
        request.grad_output = tensor("FLOAT32", shape, [1.0] * 48)
        request.gradients = (GRADIENT_INPUT,)
    return request


def setter(**fields):
    def apply(request):
        for name, value in fields.items():
            setattr(request, name, value)
    return apply


def tensor_setter(name, **fields):
    """Alters a copy, since requests may share a tensor."""
    def apply(request):
        changed = copy.copy(getattr(request, name))
        for field, value in fields.items():
            setattr(changed, field, value)
        setattr(request, name, changed)
    return apply


def config_faults():
    path = "config.num_groups: "
    faults = [Fault(f"num-groups-{label}", setter(num_groups=value), path,
                    (str(value or 0),))
              for label, value in [("absent", None), ("zero", 0),
                                   ("negative", -3),
                                   ("least", -2**63)]]
    faults += [Fault(f"epsilon-{label}", setter(epsilon=value),
                     "config.epsilon: ", (part,))
               for label, value, part in [
                   ("negative", -0.5, "-0.5"), ("tiny-negative", -5e-324, "-5e-324"),
                   ("nan", math.nan, "nan"), ("infinite", math.inf, "inf"),
                   ("minus-infinite", -math.inf, "-inf")]]
    faults += [Fault(f"layout-{label}", setter(layout=value),
                     "config.layout: ", (str(value),))
               for label, value in [("unknown", 3), ("negative", -1)]]
    return faults


def dtype_faults(name, path):
    return [Fault(f"{name}-dtype-{label}", tensor_setter(name, dtype=value),
                  f"{path}.dtype: ", (str(value),))
            for label, value in [("unspecified", 0),
                                 ("unknown", UNKNOWN_DTYPE),
                                 ("negative", -1)]]


def data_faults(name, path, size, expected_text):
    """Too short, too long, empty; `size` is right."""
    return [Fault(f"{name}-data-{label}",
                  tensor_setter(name, data=bytes(length)), f"{path}.data: ",
                  (str(length), str(size), expected_text))
            for label, length in [("short", size - 1), ("long", size + 4),
                                  ("empty", 0)]]


def shape_faults(name, path, wrong_shapes):
    return [Fault(f"{name}-shape-{label}", tensor_setter(name, shape=shape),
                  f"{path}.shape: ", parts)
            for label, shape, parts in wrong_shapes]


def input_faults():
    missing = Fault("input-missing", setter(input=None), "input: missing",
                    ("expected a tensor",))
    wrong_shapes = [
        ("rank-0", [], ("[]",)),
        ("rank-1", [48], ("[48]",)),
        ("rank-17", [2, 6, 4] + [1] * 14, ("17",)),
        ("rank-1000", [1] * 1000, ("rank 1000",)),
        ("negative-extent", [2, 6, -4], ("-4",)),
        ("least-extent", [-2**63, 6, 4], (str(-2**63),)),
        ("no-channels", [2, 0, 4], ("[2, 0, 4]",)),
        ("product-overflows", [2**31, 2**30, 4], (str(2**31),)),
        ("product-of-zeros-overflows", [0, 2**32, 2**32], (str(2**32),)),
        ("extent-overflows", [1, 6, 2**63 - 1], (str(2**63 - 1),)),
    ]
    return ([missing] + dtype_faults("input", "input")
            + shape_faults("input", "input", wrong_shapes)
            + data_faults("input", "input", 192, "FLOAT32 [2, 6, 4]"))


def divisor_faults():
    path = "config.num_groups: "
    return [Fault("num-groups-not-dividing", setter(num_groups=4), path,
                  ("4", "6")),
            Fault("num-groups-beyond-channels", setter(num_groups=7), path,
                  ("7", "6")),
            Fault("num-groups-2-to-40", setter(num_groups=2**40), path,
                  (str(2**40), "6"))]


def grad_output_faults():
    name = "grad_output"
    missing = Fault("grad_output-missing", setter(grad_output=None),
                    "grad_output: missing", ("expected a tensor",))
    other_dtype = Fault(
        "grad_output-dtype-other", tensor_setter(name, dtype=2),
        "grad_output.dtype: ", ("FLOAT64", "FLOAT32"))
    wrong_shapes = [("other", [2, 6, 5], ("[2, 6, 5]", "[2, 6, 4]")),
                    ("flat", [48], ("[48]", "[2, 6, 4]")),
                    ("rank-17", [2, 6, 4] + [1] * 14, ("17",)),
                    ("swapped", [2, 4, 6], ("[2, 4, 6]", "[2, 6, 4]"))]
    return ([missing] + dtype_faults(name, name) + [other_dtype]
            + shape_faults(name, name, wrong_shapes)
            + data_faults(name, name, 192, "FLOAT32 [2, 6, 4]"))


def parameter_faults(name, size, dtype):
    wrong_shapes = [("short", [5], ("[5]", "[6]")),
                    ("rank-2", [1, 6], ("[1, 6]", "[6]")),
                    ("rank-0", [], ("[]", "[6]")),
                    ("negative", [-6], ("-6",)),
                    ("rank-17", [6] + [1] * 16, ("17",))]
    return (dtype_faults(name, name) + shape_faults(name, name, wrong_shapes)
            + data_faults(name, name, size, f"{dtype} [6]"))


def statistics_faults(name):
    path = "statistics." + name
    missing = Fault(f"{name}-missing", setter(**{name: None}),
                    f"{path}: missing", ("expected a tensor",))
    wrong_shapes = [("per-channel", [2, 6], ("[2, 6]", "[2, 3]")),
                    ("flat", [6], ("[6]", "[2, 3]")),
                    ("swapped", [3, 2], ("[3, 2]", "[2, 3]")),
                    ("rank-17", [2, 3] + [1] * 15, ("17",))]
    return ([missing] + dtype_faults(name, path)
            + shape_faults(name, path, wrong_shapes)
            + data_faults(name, path, 48, "FLOAT64 [2, 3]"))


def gradient_faults():
    return [Fault(f"gradients-{label}", setter(gradients=values),
                  "gradients: ", (part,))
            for label, values, part in [
                ("unspecified", (0,), "0"), ("unknown", (1, 4), "4"),
                ("negative", (-7,), "-7"),
                # The first bad one in the order of the message.
                ("two-unknown", (2, 9, 8), "9")]]


def frozen_fault():
    return Fault("frozen-without-statistics",
                 setter(mean=None, rstd=None, frozen_statistics=True),
                 "frozen_statistics: ", ("true",))


def faults_in_order(method):
    """Lists of faults, in the order in which the service looks for them."""
    forward = method == "Forward"
    return [
        config_faults(), input_faults(), divisor_faults(),
        [] if forward else grad_output_faults(),
        parameter_faults("weight", 24, "FLOAT32"),
        parameter_faults("bias", 12, "FLOAT16") if forward else [],
        statistics_faults("mean"), statistics_faults("rstd"),
        [] if forward else gradient_faults(),
        [] if forward else [frozen_fault()],
    ]


def single_faults():
    rejections = []
    for method in ["Forward", "Backward"]:
        for faults in faults_in_order(method):
            for fault in faults:
                request = good_request(method)
                fault.apply(request)
                rejections.append(Rejection(
                    f"{method.lower()}-{fault.name}", method,
                    request.encode(method), fault.prefix, fault.parts))
    return rejections


# One fault for every place in the order.
ORDER_OF_CHECKS = {
    "Forward": [
        "num-groups-zero", "epsilon-negative", "layout-unknown",
        "input-dtype-unknown", "input-shape-negative-extent",
        "input-data-short", "num-groups-not-dividing",
        "weight-dtype-unknown", "weight-shape-short", "weight-data-short",
        "bias-dtype-unknown", "bias-shape-short", "bias-data-short",
        "mean-dtype-unknown", "mean-shape-flat", "mean-data-short",
        "rstd-dtype-unknown", "rstd-shape-flat", "rstd-data-short"],
    "Backward": [
        "num-groups-negative", "epsilon-nan", "layout-negative",
        "input-dtype-unspecified", "input-shape-no-channels",
        "input-data-long", "num-groups-beyond-channels",
        "grad_output-dtype-unspecified", "grad_output-shape-swapped",
        "grad_output-data-long", "weight-dtype-unspecified",
        "weight-shape-rank-2", "weight-data-long", "mean-dtype-unspecified",
        "mean-shape-per-channel", "mean-data-long",
        "rstd-dtype-unspecified", "rstd-shape-swapped", "rstd-data-long",
        "gradients-unknown"],
}


def several_faults():
    """Each fault together with all that come later in the order."""
    rejections = []
    for method, names in ORDER_OF_CHECKS.items():
        by_name = {fault.name: fault for faults in faults_in_order(method)
                   for fault in faults}
        for i, name in enumerate(names[:-1]):
            request = good_request(method)
            # The last ones first: two of them may set the same field, and the
            # one to be reported has to stand.
            for later in reversed(names[i:]):
                by_name[later].apply(request)
            fault = by_name[name]
            # Only the bad value: what would have been right depends on fields
            # that are bad as well.
            rejections.append(Rejection(
                f"{method.lower()}-order-{name}-first", method,
                request.encode(method), fault.prefix, fault.parts[:1]))
    gradients_and_frozen = good_request("Backward")
    frozen_fault().apply(gradients_and_frozen)
    gradients_and_frozen.gradients = (4,)
    rejections.append(Rejection(
        "backward-order-gradients-before-frozen", "Backward",
        gradients_and_frozen.encode("Backward"), "gradients: ", ("4",)))
    too_large = Request(
        num_groups=1, input=tensor("FLOAT32", [1, 2**40, 0], []),
        weight=tensor("FLOAT32", [1], [1.0]))
    too_large.grad_output = too_large.input
    rejections.append(Rejection(
        "backward-order-weight-before-size", "Backward",
        too_large.encode("Backward"), "weight.shape: ",
        ("[1]", f"[{2**40}]")))
    return rejections


def not_a_message():
    """Bytes that protobuf refuses, after a good or a bad beginning."""
    rejections = []
    for method in ["Forward", "Backward"]:
        good = good_request(method).encode(method)
        bad = {
            "garbage": b"\xff" * 24,
            "text": b"GET / HTTP/1.1\r\n\r\n",
            "field-0": good + b"\x00\x01",
            "wire-type-7": good + b"\x0f\x01",
            "truncated": good[:-1],
            "truncated-varint": good + b"\x08\x80",
            "over-long-varint": good + b"\xc0\x3e" + b"\x80" * 10 + b"\x01",
            "unopened-group": good + b"\xa4\x01",
            "length-beyond-the-end": good + varint(15 << 3 | 2) + varint(2**31),
            "broken-config": bytes_field(1, b"\x08") + good,
            "before-other-faults": varint_field(99, 1) + b"\xff",
        }
        for name, request in bad.items():
            rejections.append(Rejection(
                f"{method.lower()}-bytes-{name}", method, request,
                f"request: not a valid {method}Request at byte "))
    return rejections


def sparse_requests():
    """Whole fields absent, or present and empty."""
    empty = Tensor(0, [], b"").encode()
    config = bytes_field(1, varint_field(1, 3))
    rejections = [
        Rejection("forward-no-bytes", "Forward", b"", "config.num_groups: ",
                  ("0",)),
        Rejection("backward-no-bytes", "Backward", b"", "config.num_groups: ",
                  ("0",)),
        Rejection("forward-config-alone", "Forward", config, "input: missing",
                  ("expected a tensor",)),
        Rejection("backward-config-alone", "Backward", config,
                  "input: missing", ("expected a tensor",)),
        Rejection("forward-empty-input", "Forward",
                  config + bytes_field(15, b""), "input.dtype: ", ("0",)),
        Rejection("forward-input-without-shape", "Forward",
                  config + bytes_field(15, varint_field(1, 1) + empty),
                  "input.shape: ", ("[]",)),
    ]
    for method, number in [("Forward", 4), ("Backward", 3)]:
        request = good_request(method)
        request.mean = request.rstd = None
        rejections.append(Rejection(
            f"{method.lower()}-empty-statistics", method,
            request.encode(method) + bytes_field(number, b""),
            "statistics.mean: missing", ("expected a tensor",)))
        request = good_request(method)
        request.weight = None
        rejections.append(Rejection(
            f"{method.lower()}-empty-weight", method,
            request.encode(method) + bytes_field(2, b""), "weight.dtype: ",
            ("0",)))
    no_channels_last = Request(
        num_groups=1, layout=CHANNELS_LAST,
        input=tensor("FLOAT32", [2, 4, 0], []))
    rejections.append(Rejection(
        "forward-no-channels-last", "Forward",
        no_channels_last.encode("Forward"), "input.shape: ", ("[2, 4, 0]",)))
    four_gigabytes = Request(
        num_groups=1, input=Tensor(1, [2**20, 2**10, 1], b"\0" * 8))
    rejections.append(Rejection(
        "forward-data-far-too-short", "Forward",
        four_gigabytes.encode("Forward"), "input.data: ",
        ("8 bytes", str(2**32))))
    return rejections


def too_large_answers():
    """A few bytes that ask for terabytes: statistics or gradients without a
    value behind them. Whatever the limits, the option is named."""
    rejections = []

    def reject(name, method, **fields):
        request = Request(**fields)
        if method == "Backward":
            request.grad_output = request.input
        rejections.append(Rejection(
            f"{method.lower()}-too-large-{name}", method,
            request.encode(method), "", ("--max-message-bytes",),
            "RESOURCE_EXHAUSTED"))

    many_samples = tensor("FLOAT32", [2**40, 1, 0], [])
    many_channels = tensor("FLOAT32", [1, 2**40, 0], [])
    reject("2-to-40-samples", "Forward", num_groups=1, input=many_samples)
    reject("2-to-40-groups", "Forward", num_groups=2**40, input=many_channels)
    reject("2-to-40-channels", "Backward", num_groups=1, input=many_channels)
    reject("2-to-40-samples-per-sample", "Backward", num_groups=1,
           input=many_samples, per_sample_gradients=True)
    return rejections


def rejected():
    return (single_faults() + several_faults() + not_a_message()
            + sparse_requests() + too_large_answers())

"""A server against every conformance vector, with the generated messages; and the client
against the same server, which gives the same bits.

  python -B tests/conformance_test.py SERVER_PROGRAM VECTORS_FOLDER

The rules are those of tests/conformance/README.md.
"""

import json
import pathlib
import sys
import unittest

import grpc
import numpy as np
from server import ServerProcess

import groupnorm
from groupnorm.v1 import groupnorm_pb2, tensor_pb2

VECTORS = pathlib.Path(sys.argv.pop())
SERVER_PROGRAM = sys.argv.pop()


def round_to_bfloat16(value):
    """To nearest even, straight from float64."""
    if not np.isfinite(value) or value == 0:
        return value
    _, exponent = np.frexp(value)
    # Eight bits of significand; at the small end steps of 2^-133.
    step = np.ldexp(1.0, max(int(exponent) - 8, -133))
    rounded = np.rint(value / step) * step
    return np.copysign(np.inf, value) if abs(rounded) >= 2.0**128 else rounded


def round_to_float16(value):
    with np.errstate(over="ignore"):
        return float(np.float16(value))


ROUND = {"FLOAT16": round_to_float16, "BFLOAT16": round_to_bfloat16,
         "FLOAT32": lambda value: float(np.float32(value)), "FLOAT64": float}


def is_right(dtype, actual, value, bound):
    """Whether one number is, by the five rules."""
    if not np.isfinite(value):
        if bound == 0:
            return bool(np.isnan(actual)) if np.isnan(value) else actual == value
        return not np.isfinite(actual)
    if np.isnan(actual):
        return False
    round_to = ROUND[dtype]
    with np.errstate(over="ignore"):
        if np.isinf(actual) and round_to(value + np.copysign(bound, actual)) == actual:
            return True
        if dtype in ("FLOAT16", "BFLOAT16"):
            return round_to(value - bound) <= actual <= round_to(value + bound)
        return bool(abs(actual - value) <= bound)


def values_of(tensor):
    name = tensor_pb2.DataType.Name(tensor.dtype).removeprefix("DATA_TYPE_")
    if name == "BFLOAT16":
        bits = np.frombuffer(tensor.data, "<u2").astype(np.uint32) << 16
        return name, bits.view(np.float32).astype(np.float64)
    dtype = {"FLOAT16": "<f2", "FLOAT32": "<f4", "FLOAT64": "<f8"}[name]
    return name, np.frombuffer(tensor.data, dtype).astype(np.float64)


def tensors_of(method, response):
    """Path -> tensor, for those that the response has."""
    if method == "Backward":
        owners = [(response, "grad_input"), (response, "grad_weight"),
                  (response, "grad_bias")]
    else:
        owners = [(response.statistics, "mean"), (response.statistics, "rstd"),
                  (response, "output")]
    return {("statistics." if owner is not response else "") + name:
            getattr(owner, name) for owner, name in owners if owner.HasField(name)}


def array_of(tensor):
    """What a user of the client would send."""
    name = tensor_pb2.DataType.Name(tensor.dtype).removeprefix("DATA_TYPE_")
    if name == "BFLOAT16":
        return groupnorm.Bfloat16(
            np.frombuffer(tensor.data, "<u2").reshape(tensor.shape))
    dtype = {"FLOAT16": "<f2", "FLOAT32": "<f4", "FLOAT64": "<f8"}[name]
    return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)


def arguments_of(method, request):
    """A request as arguments of the client. What a message can say in several ways (a
    default that is left out, a gradient twice) they say in one."""
    config = request.config
    arguments = {
        "input": array_of(request.input), "num_groups": config.num_groups,
        "epsilon": config.epsilon if config.HasField("epsilon") else None,
        "layout": "channels_last" if config.layout == groupnorm_pb2.LAYOUT_CHANNELS_LAST
                  else "channels_first"}
    if request.HasField("weight"):
        arguments["weight"] = array_of(request.weight)
    if request.HasField("statistics"):
        arguments["statistics"] = groupnorm.Statistics(
            array_of(request.statistics.mean), array_of(request.statistics.rstd))
    if method == "Forward":
        if request.HasField("bias"):
            arguments["bias"] = array_of(request.bias)
        return arguments
    arguments.update(grad_output=array_of(request.grad_output),
                     frozen_statistics=request.frozen_statistics,
                     per_sample_gradients=request.per_sample_gradients)
    if request.gradients:
        arguments["gradients"] = [
            groupnorm_pb2.Gradient.Name(value).removeprefix("GRADIENT_").lower()
            for value in request.gradients]
    return arguments


def bits_of(array):
    """Element type, shape and bytes."""
    if isinstance(array, groupnorm.Bfloat16):
        return "BFLOAT16", array.bits.shape, array.bits.tobytes()
    return array.dtype.name.upper(), array.shape, array.tobytes()


class ConformanceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = ServerProcess(SERVER_PROGRAM)
        cls.channel = grpc.insecure_channel(cls.server.address)
        cls.client = groupnorm.Client(cls.server.address, timeout=300)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.channel.close()
        cls.server.stop()

    def request(self, case):
        return (VECTORS / "requests" / f"{case['name']}.bin").read_bytes()

    def call(self, case):
        response_type = getattr(groupnorm_pb2, f"{case['method']}Response")
        call = self.channel.unary_unary(
            f"/groupnorm.v1.GroupNormService/{case['method']}",
            request_serializer=None, response_deserializer=response_type.FromString)
        return call(self.request(case), timeout=300)

    def check_refused(self, case):
        with self.assertRaises(grpc.RpcError) as raised:
            self.call(case)
        error = raised.exception
        self.assertEqual(error.code().name, case["code"])
        text = error.details()
        self.assertTrue(text.startswith(case["message_prefix"]), text)
        for part in case["message_parts"]:
            self.assertIn(part, text)
        self.assertLessEqual(len(text), 1024)
        self.assertTrue(text.isascii() and text.isprintable(), text)

    def check_tensor(self, path, expected, tensor):
        dtype, actual = values_of(tensor)
        self.assertEqual(dtype, expected["dtype"], path)
        self.assertEqual(list(tensor.shape), expected["shape"], path)
        values = list(map(float, expected["values"]))
        bounds = list(map(float, expected["bounds"]))
        self.assertEqual(len(actual), len(values), path)
        for i, numbers in enumerate(zip(actual, values, bounds)):
            self.assertTrue(is_right(dtype, *numbers), f"{path}[{i}]: {numbers}")

    def check_client(self, case, tensors):
        """The client returns the bits of the response to the vector's own bytes."""
        method = case["method"]
        request_type = getattr(groupnorm_pb2, f"{method}Request")
        arguments = arguments_of(method, request_type.FromString(self.request(case)))
        result = getattr(self.client, method.lower())(**arguments)
        returned = {"statistics." * (name in ("mean", "rstd")) + name: array
                    for name, array in vars(result).items() if array is not None}
        self.assertEqual(set(returned), set(tensors))
        for path, tensor in tensors.items():
            dtype = tensor_pb2.DataType.Name(tensor.dtype).removeprefix("DATA_TYPE_")
            self.assertEqual(bits_of(returned[path]),
                             (dtype, tuple(tensor.shape), tensor.data), path)

    def test_every_request_is_answered_as_the_vectors_say(self):
        cases = json.loads((VECTORS / "manifest.json").read_text())["cases"]
        refusals = [case for case in cases if "code" in case]
        accepted = [case for case in cases if "code" not in case]
        self.assertTrue(refusals, "no case is refused")
        self.assertTrue(accepted, "no case is accepted")
        for case in refusals:
            with self.subTest(case["name"]):
                self.check_refused(case)
        for case in accepted:
            with self.subTest(case["name"]):
                tensors = tensors_of(case["method"], self.call(case))
                self.assertEqual(set(tensors), set(case["tensors"]))
                for path, expected in case["tensors"].items():
                    self.check_tensor(path, expected, tensors[path])
                self.check_client(case, tensors)
        print(f"{len(cases)} vectors, {len(refusals)} of them rejections")

    def test_the_rules_refuse_what_is_wrong(self):
        self.assertFalse(is_right("FLOAT32", 1.5, 1.0, 0.25))
        self.assertFalse(is_right("FLOAT32", float("nan"), 1.0, 1.0))
        self.assertFalse(is_right("FLOAT64", 1.0, float("nan"), 0.0))
        self.assertFalse(is_right("FLOAT64", float("inf"), 1.0, 1.0))
        # Truncated instead of rounded.
        self.assertFalse(is_right("BFLOAT16", 1.0, 1 + 0.9 * 2**-7, 1e-9))
        self.assertTrue(is_right("BFLOAT16", 1 + 2**-7, 1 + 0.9 * 2**-7, 1e-9))
        self.assertTrue(is_right("FLOAT16", float("inf"), 65519.9, 0.2))
        self.assertFalse(is_right("FLOAT16", float("inf"), 65000.0, 1.0))


if __name__ == "__main__":
    unittest.main()

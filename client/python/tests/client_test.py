"""The client against a real server.

  python -B tests/client_test.py SERVER_PROGRAM
"""

import concurrent.futures
import importlib.util
import os
import pathlib
import re
import reprlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import grpc
import numpy as np
from server import ServerProcess

import groupnorm
from groupnorm.v1 import groupnorm_pb2, groupnorm_pb2_grpc, tensor_pb2

SERVER_PROGRAM = sys.argv.pop()


def normalized(x, groups, weight, bias, epsilon=1e-5):
    """The definition, in float64, for (N, C, *)."""
    values = x.astype(np.float64).reshape(x.shape[0], groups, -1)
    mean = values.mean(axis=2, keepdims=True)
    rstd = 1 / np.sqrt(values.var(axis=2, keepdims=True) + epsilon)
    shape = (1, -1, *[1] * (x.ndim - 2))
    return (((values - mean) * rstd).reshape(x.shape) * weight.reshape(shape)
            + bias.reshape(shape))


class Unreadable:
    """Like the tensor of a GPU."""

    def __array__(self, *_, **__):
        raise TypeError("on another device")


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = ServerProcess(SERVER_PROGRAM)
        cls.client = groupnorm.Client(cls.server.address)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def setUp(self):
        generator = np.random.default_rng(1)
        self.x = generator.normal(3, 2, (2, 6, 5)).astype(np.float32)
        self.weight = generator.normal(1, 1, 6).astype(np.float32)
        self.bias = generator.normal(0, 1, 6).astype(np.float32)

    def expect_output(self, output, rtol=1e-5):
        np.testing.assert_allclose(
            np.asarray(output, np.float64),
            normalized(self.x, 3, self.weight, self.bias), rtol=rtol, atol=rtol)

    def test_forward_gives_output_and_statistics(self):
        result = self.client.forward(self.x, 3, weight=self.weight, bias=self.bias)
        self.assertEqual(result.output.dtype, np.float32)
        self.expect_output(result.output)
        groups = self.x.astype(np.float64).reshape(2, 3, -1)
        np.testing.assert_allclose(result.mean, groups.mean(axis=2), rtol=1e-12)
        np.testing.assert_allclose(
            result.rstd, 1 / np.sqrt(groups.var(axis=2) + 1e-5), rtol=1e-10)
        self.assertEqual(result.mean.dtype, np.float64)

    def test_forward_takes_every_element_type(self):
        for dtype, rtol in ((np.float64, 1e-12), (np.float16, 5e-3)):
            with self.subTest(dtype):
                x = self.x.astype(dtype)
                self.x = x
                result = self.client.forward(x, 3, weight=self.weight, bias=self.bias)
                self.assertEqual(result.output.dtype, dtype)
                self.expect_output(result.output, rtol)

    def test_bfloat16_comes_back_as_it_went(self):
        x = groupnorm.Bfloat16.from_float32(self.x)
        self.x = x.to_float32()
        result = self.client.forward(x, 3, weight=self.weight, bias=self.bias)
        self.assertIsInstance(result.output, groupnorm.Bfloat16)
        self.expect_output(result.output.to_float32(), 2e-2)

    def expect_bfloat16_of(self, dtype):
        """Arrays of `dtype` come back as arrays of it, with the bits of Bfloat16."""
        bits = groupnorm.Bfloat16.from_float32(self.x)
        expected = self.client.forward(bits, 3)
        array = bits.bits.view(dtype)
        result = self.client.forward(array, 3)
        self.assertEqual(result.output.dtype, dtype)
        np.testing.assert_array_equal(result.output.view(np.uint16),
                                      expected.output.bits)
        # The gradient of weight has the type of weight, that of input the input's.
        weight = groupnorm.Bfloat16.from_float32(self.weight).bits.view(dtype)
        gradients = self.client.backward(self.x, self.x, 3, weight=weight)
        self.assertEqual(gradients.grad_weight.dtype, dtype)
        self.assertEqual(gradients.grad_input.dtype, np.float32)

    @unittest.skipUnless(importlib.util.find_spec("ml_dtypes"),
                         "the package ml_dtypes is not installed")
    def test_arrays_of_ml_dtypes_are_taken_as_they_are(self):
        import ml_dtypes
        self.expect_bfloat16_of(np.dtype(ml_dtypes.bfloat16))
        values = self.x.astype(ml_dtypes.bfloat16)
        np.testing.assert_array_equal(
            values.view(np.uint16), groupnorm.Bfloat16.from_float32(self.x).bits)

    def test_arrays_of_any_type_called_bfloat16_are_taken(self):
        # numpy appends the number of bits.
        stand_in = np.dtype((type("bfloat", (np.void,), {}), [("bits", "<u2")]))
        self.assertEqual(stand_in.name, "bfloat16")
        self.expect_bfloat16_of(stand_in)

    def test_bfloat16_rounds_to_nearest_even(self):
        values = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, 3.4e38, np.inf, np.nan],
                          np.float32)
        back = groupnorm.Bfloat16.from_float32(values).to_float32()
        np.testing.assert_array_equal(
            back, np.array([1, 1, 1 + 2**-6, np.inf, np.inf, np.nan], np.float32))

    def test_bfloat16_is_made_of_uint16_only(self):
        with self.assertRaisesRegex(TypeError, "^bits: float32, expected uint16$"):
            groupnorm.Bfloat16(np.ones(2, np.float32))
        with self.assertRaisesRegex(TypeError,
                                    "^bits: list, expected an array of uint16$"):
            groupnorm.Bfloat16([1, 2])

    def test_what_holds_arrays_compares_by_identity(self):
        forward = [self.client.forward(self.x, 3) for _ in range(2)]
        backward = [self.client.backward(self.x, self.x, 3) for _ in range(2)]
        statistics = [groupnorm.Statistics(forward[0].mean, forward[0].rstd)
                      for _ in range(2)]
        bits = [groupnorm.Bfloat16.from_float32(self.x) for _ in range(2)]
        for one, other in (forward, backward, statistics, bits):
            with self.subTest(type(one)):
                self.assertNotEqual(one, other)
                self.assertEqual({one, other, one}, {other, one})

    def test_arrays_of_any_order_are_taken(self):
        expected = self.client.forward(self.x, 3).output
        strided = np.asfortranarray(self.x)
        np.testing.assert_array_equal(self.client.forward(strided, 3).output, expected)
        other_end = self.x.astype(">f4")
        np.testing.assert_array_equal(self.client.forward(other_end, 3).output, expected)
        last = np.moveaxis(self.x, 1, -1)
        np.testing.assert_array_equal(
            self.client.forward(last, 3, layout="channels_last").output,
            np.moveaxis(expected, 1, -1))

    def test_given_statistics_and_epsilon_are_used(self):
        own = self.client.forward(self.x, 3, epsilon=0.5)
        given = self.client.forward(
            self.x, 3, statistics=groupnorm.Statistics(own.mean, own.rstd))
        # The server's own mean has more bits than the one that it returns.
        np.testing.assert_allclose(given.output, own.output, rtol=1e-6, atol=1e-6)
        self.assertLess(own.rstd.max(), self.client.forward(self.x, 3).rstd.max())

    def test_backward_gives_the_gradients_that_are_asked_for(self):
        ones = np.ones_like(self.x)
        all_of_them = self.client.backward(ones, self.x, 3, weight=self.weight)
        np.testing.assert_allclose(all_of_them.grad_bias, np.full(6, 10.0))
        self.assertEqual(all_of_them.grad_input.shape, self.x.shape)
        some = self.client.backward(ones, self.x, 3, weight=self.weight,
                                    gradients=["weight"])
        np.testing.assert_array_equal(some.grad_weight, all_of_them.grad_weight)
        self.assertIsNone(some.grad_input)
        self.assertIsNone(some.grad_bias)

    def test_backward_per_sample_and_frozen(self):
        ones = np.ones_like(self.x)
        statistics = self.client.forward(self.x, 3)
        result = self.client.backward(
            ones, self.x, 3, weight=self.weight, frozen_statistics=True,
            per_sample_gradients=True,
            statistics=groupnorm.Statistics(statistics.mean, statistics.rstd))
        np.testing.assert_array_equal(result.grad_bias, np.full((2, 6), 5.0))
        np.testing.assert_allclose(
            result.grad_input,
            np.repeat(statistics.rstd, 2, axis=1)[:, :, None]
            * self.weight[:, None] * ones, rtol=1e-6)

    def test_a_wrong_shape_raises_the_text_of_the_server(self):
        with self.assertRaises(ValueError) as raised:
            self.client.forward(self.x, 3, weight=np.ones(5, np.float32))
        self.assertIsInstance(raised.exception, groupnorm.InvalidArgumentError)
        self.assertIs(raised.exception.code, grpc.StatusCode.INVALID_ARGUMENT)
        request = groupnorm_pb2.ForwardRequest()
        request.config.num_groups = 3
        request.config.layout = groupnorm_pb2.LAYOUT_CHANNELS_FIRST
        for tensor, array in ((request.input, self.x),
                              (request.weight, np.ones(5, np.float32))):
            tensor.dtype = 1
            tensor.shape.extend(array.shape)
            tensor.data = array.tobytes()
        with grpc.insecure_channel(self.server.address) as channel:
            with self.assertRaises(grpc.RpcError) as sent_by_hand:
                groupnorm_pb2_grpc.GroupNormServiceStub(channel).Forward(request)
        self.assertEqual(str(raised.exception), sent_by_hand.exception.details())
        self.assertIn("weight", str(raised.exception))

    def expect_error(self, error, text, call):
        with self.subTest(text):
            with self.assertRaisesRegex(error, f"^{re.escape(text)}"):
                call()

    def test_what_cannot_be_sent_is_named(self):
        x = self.x
        for arguments, error, text in (
                ({"weight": np.ones(6, np.int64)}, TypeError,
                 "weight: int64, expected float32, float64, float16 or bfloat16"),
                ({"bias": Unreadable()}, TypeError,
                 "bias: Unreadable, expected an array: on another device"),
                ({"statistics": (x, x)}, TypeError,
                 "statistics: tuple, expected groupnorm.Statistics"),
                ({"statistics": groupnorm.Statistics(x, None)}, TypeError,
                 "statistics.rstd: object, expected float32"),
                ({"layout": "nchw"}, ValueError,
                 "layout: 'nchw', expected channels_first or channels_last"),
                ({"layout": ["channels_last"]}, ValueError,
                 "layout: ['channels_last'], expected channels_first or channels_last"),
                ({"epsilon": "1e-5"}, TypeError,
                 "epsilon: '1e-5', expected a real number"),
                ({"epsilon": 10**400}, ValueError,
                 f"epsilon: {reprlib.repr(10**400)}, expected a number within the range "
                 "of float64"),
                ({"timeout": "1s"}, TypeError, "timeout: '1s', expected a real number"),
                ({"timeout": float("inf")}, ValueError,
                 "timeout: inf, expected at most 2147483648 seconds"),
                ({"timeout": -float("inf")}, ValueError,
                 "timeout: -inf, expected at most "),
                ({"timeout": float("nan")}, ValueError,
                 "timeout: nan, expected at most ")):
            self.expect_error(error, text, lambda: self.client.forward(x, 3, **arguments))

    def test_num_groups_is_an_integer_of_the_contract(self):
        for value, error, text in (
                (2.0, TypeError, "num_groups: 2.0, expected an integer"),
                ("3", TypeError, "num_groups: '3', expected an integer"),
                (None, TypeError, "num_groups: None, expected an integer"),
                (2**63, ValueError,
                 f"num_groups: {2**63}, expected an integer from -2^63 to 2^63 - 1"),
                (-2**63 - 1, ValueError,
                 f"num_groups: {-2**63 - 1}, expected an integer from ")):
            self.expect_error(error, text, lambda: self.client.forward(self.x, value))
        # What fits is the server's to check.
        for value in (-2**63, 2**63 - 1):
            self.expect_error(groupnorm.InvalidArgumentError,
                              f"config.num_groups: {value}, ",
                              lambda: self.client.forward(self.x, value))
        self.client.forward(self.x, np.int32(3))

    def test_what_backward_cannot_send_is_named(self):
        for arguments, error, text in (
                ({"gradients": ["x"]}, ValueError,
                 "gradients: 'x', expected input or weight or bias"),
                ({"gradients": []}, ValueError,
                 "gradients: empty, expected at least one of input, weight, bias"),
                ({"gradients": "input"}, TypeError,
                 "gradients: 'input', expected a sequence of input, weight, bias, as in "
                 "['input']"),
                ({"gradients": 1}, TypeError, "gradients: 1, expected a sequence of "),
                ({"gradients": [1]}, ValueError, "gradients: 1, expected input or "),
                ({"frozen_statistics": "no"}, TypeError,
                 "frozen_statistics: 'no', expected True or False"),
                ({"per_sample_gradients": None}, TypeError,
                 "per_sample_gradients: None, expected True or False")):
            self.expect_error(
                error, text,
                lambda: self.client.backward(self.x, self.x, 3, **arguments))
        for gradients in (("bias",), np.array(["bias"]), iter(["bias"])):
            self.assertIsNotNone(
                self.client.backward(self.x, self.x, 3, gradients=gradients).grad_bias)

    def test_the_timeout_of_a_client_is_in_seconds(self):
        self.expect_error(TypeError, "timeout: None, expected a real number",
                          lambda: groupnorm.Client(timeout=None))
        with groupnorm.Client(self.server.address, timeout=2**31) as one:
            one.server_info()
            with self.assertRaises(groupnorm.GroupNormError) as raised:
                one.server_info(timeout=-1)
        self.assertIs(raised.exception.code, grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_the_server_says_what_it_is(self):
        info = self.client.server_info()
        self.assertEqual(info, self.client.server_info())
        self.assertGreater(info.workers, 0)
        self.assertGreater(info.max_message_bytes, 0)
        self.assertNotEqual(info.version, "")
        self.assertNotEqual(info.simd_target, "")
        self.assertEqual(set(info.dtypes), {"float32", "float64", "float16", "bfloat16"})
        self.assertEqual(len(info.dtypes), 4)

    def test_the_sample_runs(self):
        sample = pathlib.Path(__file__).parents[1] / "examples/normalize.py"
        done = subprocess.run([sys.executable, "-B", sample, self.server.address],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], f"server {self.client.server_info().version}")
        self.assertRegex(lines[1], r"^largest mean of a group \d\.\de-0\d$")
        self.assertEqual(lines[2], "gradient of bias [32. 32. 32. 32. 32. 32.]")
        self.assertEqual(lines[3], "refused: config.num_groups: 4, expected a divisor "
                                   "of the 6 channels of input")

    def test_many_threads_share_a_client(self):
        expected = self.client.forward(self.x, 3).output
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            for result in threads.map(lambda _: self.client.forward(self.x, 3),
                                      range(64)):
                np.testing.assert_array_equal(result.output, expected)


class FakeService(groupnorm_pb2_grpc.GroupNormServiceServicer):
    """Refuses the first calls as a full server does. Its Forward returns the input."""

    def __init__(self, name, refusals):
        self.name = name
        self.refusals = refusals
        self.calls = 0

    def count(self, context):
        self.calls += 1
        if self.calls <= self.refusals:
            context.set_trailing_metadata([("grpc-retry-pushback-ms", "1")])
            context.abort(grpc.StatusCode.UNAVAILABLE, "server: full")

    def Forward(self, request, context):
        self.count(context)
        response = groupnorm_pb2.ForwardResponse(output=request.input)
        for tensor in (response.statistics.mean, response.statistics.rstd):
            tensor.dtype = tensor_pb2.DATA_TYPE_FLOAT64
            tensor.shape.extend((0, request.config.num_groups))
        return response

    def GetServerInfo(self, request, context):
        self.count(context)
        # The last one is of a later contract.
        return groupnorm_pb2.GetServerInfoResponse(
            version=self.name, dtypes=[tensor_pb2.DATA_TYPE_FLOAT16, 1000])


class FakeServerTest(unittest.TestCase):
    def serve(self, name="fake", refusals=0, listen="127.0.0.1:0"):
        """The service and its address."""
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
        service = FakeService(name, refusals)
        groupnorm_pb2_grpc.add_GroupNormServiceServicer_to_server(service, server)
        port = server.add_insecure_port(listen)
        server.start()
        self.addCleanup(lambda: server.stop(None).wait())
        return service, listen.replace(":0", f":{port}")

    def test_refused_calls_are_tried_again(self):
        service, address = self.serve(refusals=2)
        with groupnorm.Client(address) as client:
            self.assertEqual(client.server_info().version, "fake")
        self.assertEqual(service.calls, 3)

    def test_a_large_request_is_tried_again(self):
        # By default gRPC keeps 256 KiB of a request for another attempt.
        x = np.arange(2**18, dtype=np.float32).reshape(1, 1, -1)
        service, address = self.serve(refusals=1)
        with groupnorm.Client(address) as client:
            np.testing.assert_array_equal(client.forward(x, 1).output, x)
        self.assertEqual(service.calls, 2)

    def test_the_last_refusal_is_raised(self):
        service, address = self.serve(refusals=1000)
        with groupnorm.Client(address) as client:
            with self.assertRaises(groupnorm.GroupNormError) as raised:
                client.server_info()
        self.assertIs(raised.exception.code, grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(str(raised.exception), "server: full")
        self.assertEqual(service.calls, 5)

    def test_element_types_of_a_later_contract_are_left_out(self):
        _, address = self.serve()
        with groupnorm.Client(address) as client:
            self.assertEqual(client.server_info().dtypes, ("float16",))

    def test_the_servers_of_a_list_take_turns(self):
        addresses = [self.serve(name)[1] for name in ("one", "other")]
        with groupnorm.Client(",".join(addresses)) as client:
            # The second connection may come about after the first calls.
            seen = set()
            for _ in range(1000):
                seen.add(client.server_info().version)
                if len(seen) == 2:
                    break
        self.assertEqual(seen, {"one", "other"})

    def test_a_unix_socket_is_reached(self):
        with tempfile.TemporaryDirectory() as folder:
            _, address = self.serve(listen=f"unix:{folder}/socket")
            with groupnorm.Client(address) as client:
                self.assertEqual(client.server_info().version, "fake")

    def test_this_machine_is_reached_without_the_proxy_of_the_environment(self):
        _, address = self.serve()
        # Nothing listens there.
        with mock.patch.dict(os.environ, {"http_proxy": "http://127.0.0.1:9",
                                          "no_proxy": "", "no_grpc_proxy": ""}):
            with groupnorm.Client(address) as client:
                self.assertEqual(client.server_info().version, "fake")


if __name__ == "__main__":
    unittest.main(verbosity=2)  # Which names what it skips.

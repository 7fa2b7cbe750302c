"""The client against a real server.

  python -B tests/client_test.py SERVER_PROGRAM
"""

import concurrent.futures
import pathlib
import subprocess
import sys
import unittest

import grpc
import numpy as np
from server import ServerProcess

import groupnorm
from groupnorm.v1 import groupnorm_pb2, groupnorm_pb2_grpc

SERVER_PROGRAM = sys.argv.pop()


def normalized(x, groups, weight, bias, epsilon=1e-5):
    """The definition, in float64, for (N, C, *)."""
    values = x.astype(np.float64).reshape(x.shape[0], groups, -1)
    mean = values.mean(axis=2, keepdims=True)
    rstd = 1 / np.sqrt(values.var(axis=2, keepdims=True) + epsilon)
    shape = (1, -1, *[1] * (x.ndim - 2))
    return (((values - mean) * rstd).reshape(x.shape) * weight.reshape(shape)
            + bias.reshape(shape))


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

    def test_bfloat16_rounds_to_nearest_even(self):
        values = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, 3.4e38, np.inf, np.nan],
                          np.float32)
        back = groupnorm.Bfloat16.from_float32(values).to_float32()
        np.testing.assert_array_equal(
            back, np.array([1, 1, 1 + 2**-6, np.inf, np.inf, np.nan], np.float32))
        with self.assertRaisesRegex(TypeError, "bits: float32, expected uint16"):
            groupnorm.Bfloat16(values)

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

    def test_what_cannot_be_sent_is_named(self):
        with self.assertRaisesRegex(TypeError, "weight: int64, expected float32"):
            self.client.forward(self.x, 3, weight=np.ones(6, np.int64))
        with self.assertRaisesRegex(
                ValueError, "layout: 'nchw', expected channels_first or channels_last"):
            self.client.forward(self.x, 3, layout="nchw")
        with self.assertRaisesRegex(
                ValueError, "gradients: 'x', expected input or weight or bias"):
            self.client.backward(self.x, self.x, 3, gradients=["x"])
        with self.assertRaisesRegex(ValueError, "gradients: empty"):
            self.client.backward(self.x, self.x, 3, gradients=[])

    def test_the_server_says_what_it_is(self):
        info = self.client.server_info()
        self.assertGreater(info.workers, 0)
        self.assertGreater(info.max_message_bytes, 0)
        self.assertNotEqual(info.version, "")

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


class Refusing(groupnorm_pb2_grpc.GroupNormServiceServicer):
    """Refuses the first calls as a full server does."""

    def __init__(self, refusals):
        self.refusals = refusals

    def GetServerInfo(self, request, context):
        if self.refusals > 0:
            self.refusals -= 1
            context.set_trailing_metadata([("grpc-retry-pushback-ms", "1")])
            context.abort(grpc.StatusCode.UNAVAILABLE, "server: full")
        return groupnorm_pb2.GetServerInfoResponse(version="after refusals")


class RetryTest(unittest.TestCase):
    def serve(self, refusals):
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
        groupnorm_pb2_grpc.add_GroupNormServiceServicer_to_server(
            Refusing(refusals), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(None).wait())
        return f"127.0.0.1:{port}"

    def test_refused_calls_are_tried_again(self):
        with groupnorm.Client(self.serve(2)) as client:
            self.assertEqual(client.server_info().version, "after refusals")

    def test_the_last_refusal_is_raised(self):
        with groupnorm.Client(self.serve(1000)) as client:
            with self.assertRaises(groupnorm.GroupNormError) as raised:
                client.server_info()
        self.assertIs(raised.exception.code, grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(str(raised.exception), "server: full")


if __name__ == "__main__":
    unittest.main()

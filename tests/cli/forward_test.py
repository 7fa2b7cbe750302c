"""`groupnorm forward` on real files."""

import pathlib
import unittest

import numpy

from cli_case import EMBEDDED, CliTest, bfloat16_bits, forward, from_bfloat16_bits, groups_of


class Forward(CliTest):
    def test_agrees_with_numpy_for_every_element_type(self):
        for dtype, relative in (("f4", 1e-6), ("f8", 1e-11), ("f2", 1e-3)):
            x = self.normal(2, 6, 5, 3, dtype=dtype)
            weight, bias = self.normal(6, dtype="f8"), self.normal(6, dtype="f2")
            self.save("x.npy", x), self.save("w.npy", weight), self.save("b.npy", bias)
            error = self.succeed(
                "forward", self.path("x.npy"), "--num-groups", 3, "--epsilon", 0.25,
                "--weight", self.path("w.npy"), "--bias", self.path("b.npy"),
                "-o", self.path("y.npy"), "--mean-output", self.path("mean.npy"),
                "--rstd-output", self.path("rstd.npy"))
            self.assertEqual(error, EMBEDDED)
            y, mean, rstd = forward(x.astype("f8"), 3, weight, bias.astype("f8"), 0.25)
            self.assertEqual(self.load("y.npy").dtype, numpy.dtype(dtype))
            numpy.testing.assert_allclose(self.load("y.npy"), y, rtol=relative,
                                          atol=4 * relative)
            for name, expected in (("mean.npy", mean), ("rstd.npy", rstd)):
                self.assertEqual(self.load(name).dtype, numpy.float64)
                numpy.testing.assert_allclose(self.load(name), expected, rtol=1e-10,
                                              atol=1e-12)

    def test_reads_and_writes_bfloat16_as_uint16(self):
        bits = bfloat16_bits(self.normal(2, 4, 3))
        self.save("x.npy", bits)
        self.succeed("forward", self.path("x.npy"), "--num-groups", 2, "--dtype", "bfloat16",
                     "-o", self.path("y.npy"))
        y, _, _ = forward(from_bfloat16_bits(bits), 2, numpy.ones(4), numpy.zeros(4), 1e-5)
        self.assertEqual(self.load("y.npy").dtype, numpy.uint16)
        numpy.testing.assert_allclose(from_bfloat16_bits(self.load("y.npy")), y, rtol=2**-8,
                                      atol=1e-6)

    def test_takes_channels_last(self):
        x = self.normal(2, 6, 5, 3)
        self.save("x.npy", numpy.ascontiguousarray(numpy.moveaxis(x, 1, -1)))
        self.succeed("forward", self.path("x.npy"), "--num-groups", 3, "--layout",
                     "channels-last", "-o", self.path("y.npy"))
        y, _, _ = forward(x.astype("f8"), 3, numpy.ones(6), numpy.zeros(6), 1e-5)
        numpy.testing.assert_allclose(numpy.moveaxis(self.load("y.npy"), -1, 1), y, atol=4e-6)
        self.succeed("forward", self.save("x.npy", x), "--num-groups", 3, "--layout",
                     "channels-first", "-o", self.path("y.npy"))
        numpy.testing.assert_allclose(self.load("y.npy"), y, atol=4e-6)

    def test_uses_given_statistics(self):
        x = self.normal(2, 6, 4)
        mean, rstd = self.normal(2, 3, dtype="f8"), self.normal(2, 3)
        self.save("x.npy", x), self.save("m.npy", mean), self.save("r.npy", rstd)
        self.succeed("forward", self.path("x.npy"), "--num-groups", 3, "--mean",
                     self.path("m.npy"), "--rstd", self.path("r.npy"), "-o",
                     self.path("y.npy"))
        y = (groups_of(x.astype("f8"), 3) - mean[..., None]) * rstd.astype("f8")[..., None]
        numpy.testing.assert_allclose(self.load("y.npy"), y.reshape(x.shape), rtol=1e-6,
                                      atol=1e-6)

    def test_gives_the_same_bytes_with_a_server_of_its_own_and_another(self):
        self.small_input()
        arguments = ["forward", self.path("x.npy"), "--num-groups", 3, "-o"]
        self.succeed(*arguments, self.path("own.npy"))
        own = pathlib.Path(self.path("own.npy")).read_bytes()
        with self.server() as address:
            self.assertEqual(
                self.succeed(*arguments, self.path("tcp.npy"), "--server", address), "")
            self.assertEqual(
                self.succeed(*arguments, self.path("env.npy"),
                             environment={"GROUPNORM_SERVER": address}), "")
        with self.server(listen="unix:" + self.path("socket")) as address:
            self.assertEqual(address, "unix:" + self.path("socket"))
            self.succeed(*arguments, self.path("unix.npy"), "--server", address)
        for name in ("tcp.npy", "env.npy", "unix.npy"):
            self.assertEqual(pathlib.Path(self.path(name)).read_bytes(), own, name)

    def test_replaces_its_own_input(self):
        x = self.normal(2, 6, 4)
        self.save("x.npy", x)
        self.succeed("forward", self.path("x.npy"), "--num-groups", 3, "-o",
                     self.path("x.npy"))
        y, _, _ = forward(x.astype("f8"), 3, numpy.ones(6), numpy.zeros(6), 1e-5)
        numpy.testing.assert_allclose(self.load("x.npy"), y, atol=4e-6)

    def test_handles_tensors_without_elements(self):
        self.save("x.npy", numpy.zeros((0, 6, 4), "f4"))
        self.succeed("forward", self.path("x.npy"), "--num-groups", 3, "-o",
                     self.path("y.npy"), "--mean-output", self.path("m.npy"))
        self.assertEqual(self.load("y.npy").shape, (0, 6, 4))
        self.assertEqual(self.load("m.npy").shape, (0, 3))


if __name__ == "__main__":
    unittest.main()

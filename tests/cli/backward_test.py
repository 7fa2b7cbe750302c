"""`groupnorm backward` on real files."""

import unittest

import numpy

from cli_case import EMBEDDED, FILE, REFUSED, USAGE, CliTest, backward, forward


class Backward(CliTest):
    def setUp(self):
        super().setUp()
        self.x, self.dy = self.normal(3, 6, 5, dtype="f8"), self.normal(3, 6, 5, dtype="f8")
        self.weight = self.normal(6, dtype="f4")
        self.save("x.npy", self.x), self.save("dy.npy", self.dy)
        self.save("w.npy", self.weight)
        _, self.mean, self.rstd = forward(self.x, 2, numpy.ones(6), numpy.zeros(6), 1e-5)
        self.save("m.npy", self.mean), self.save("r.npy", self.rstd)
        self.arguments = ["backward", self.path("x.npy"), self.path("dy.npy"),
                          "--num-groups", 2]
        self.statistics = ["--mean", self.path("m.npy"), "--rstd", self.path("r.npy")]
        self.outputs = ["--grad-input", self.path("dx.npy"), "--grad-weight",
                        self.path("dw.npy"), "--grad-bias", self.path("db.npy")]

    def expect(self, name, expected, dtype, tolerance):
        self.assertEqual(self.load(name).dtype, numpy.dtype(dtype))
        numpy.testing.assert_allclose(self.load(name), expected, rtol=tolerance,
                                      atol=tolerance)

    def test_agrees_with_numpy(self):
        dx, dw, db = backward(self.x, self.dy, 2, self.weight.astype("f8"), self.mean,
                              self.rstd, False)
        for statistics in ([], self.statistics):
            self.assertEqual(
                self.succeed(*self.arguments, "--weight", self.path("w.npy"), *statistics,
                             *self.outputs), EMBEDDED)
            self.expect("dx.npy", dx, "f8", 1e-9)
            self.expect("dw.npy", dw.sum(axis=0), "f4", 1e-5)  # In the weight's type.
            self.expect("db.npy", db.sum(axis=0), "f4", 1e-5)

    def test_treats_frozen_statistics_as_constants(self):
        dx, _, _ = backward(self.x, self.dy, 2, numpy.ones(6), self.mean, self.rstd, True)
        self.succeed(*self.arguments, *self.statistics, "--frozen-statistics",
                     *self.outputs[:2])
        self.expect("dx.npy", dx, "f8", 1e-9)

    def test_does_not_sum_per_sample_gradients(self):
        _, dw, db = backward(self.x, self.dy, 2, numpy.ones(6), self.mean, self.rstd, False)
        self.succeed(*self.arguments, "--per-sample-gradients", "--weight",
                     self.path("w.npy"), *self.outputs[2:])
        self.expect("dw.npy", dw, "f8", 1e-9)
        self.expect("db.npy", db, "f8", 1e-9)

    def test_writes_no_file_but_those_named(self):
        self.succeed(*self.arguments, *self.outputs[4:])
        self.assertTrue((self.folder / "db.npy").exists())
        self.assertFalse((self.folder / "dw.npy").exists())
        self.assertFalse((self.folder / "dx.npy").exists())

    def test_needs_something_to_compute(self):
        self.fail_with(USAGE, "at least one of --grad-input, --grad-weight and --grad-bias",
                       *self.arguments)

    def test_frozen_statistics_need_statistics(self):
        self.fail_with(USAGE, "--frozen-statistics requires --mean", *self.arguments,
                       "--frozen-statistics", *self.outputs)

    def test_is_refused_where_the_gradient_does_not_fit(self):
        self.save("dy.npy", self.normal(3, 6, 4, dtype="f8"))
        self.fail_with(REFUSED, "INVALID_ARGUMENT: grad_output.shape: [3, 6, 4], expected",
                       *self.arguments, *self.outputs, embedded=True)
        self.fail_with(FILE, "none.npy: No such file or directory", "backward",
                       self.path("x.npy"), self.path("none.npy"), "--num-groups", 2,
                       *self.outputs)


if __name__ == "__main__":
    unittest.main()

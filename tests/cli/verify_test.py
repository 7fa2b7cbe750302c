"""`groupnorm verify` on own files; the matrix of random tensors is a test of its own."""

import unittest

from cli_case import EMBEDDED, OK, CliTest


class Verify(CliTest):
    def test_takes_every_option_of_backward(self):
        self.save("x.npy", self.normal(2, 6, 5))
        self.save("m.npy", self.normal(2, 3)), self.save("r.npy", self.normal(2, 3) ** 2 + 1)
        statistics = ["--mean", self.path("m.npy"), "--rstd", self.path("r.npy")]
        # Rows of grad_weight and values of it that are compared, by the options given.
        for options, values in (([], 6), (["--per-sample-gradients"], 12),
                                (statistics, 6), ([*statistics, "--frozen-statistics"], 6),
                                ([*statistics, "--frozen-statistics",
                                  "--per-sample-gradients"], 12)):
            with self.subTest(options=options):
                done = self.run_cli("verify", self.path("x.npy"), "--num-groups", 3, *options)
                self.assertEqual((done.returncode, done.stderr), (OK, EMBEDDED), done.stdout)
                dtype = "FLOAT64" if values == 12 else "FLOAT32"
                self.assertRegex(done.stdout, rf"(?m)^grad_weight +{dtype} +{values} ")


if __name__ == "__main__":
    unittest.main()

"""Every exit code and every kind of message of `groupnorm`."""

import os
import pathlib
import unittest

import numpy

from cli_case import FILE, REFUSED, USAGE, CliTest


class Failures(CliTest):
    def forward(self, *more):
        return ["forward", self.path("x.npy"), "--num-groups", 3, "-o", self.path("y.npy"),
                *more]

    def test_of_the_command_line(self):
        self.small_input()
        cases = [
            ([], "no command, expected one of forward, backward, verify, status, bench"),
            (["normalize"], "normalize: not a command, expected one of forward, "),
            (["forward"], "INPUT is required (groupnorm forward --help lists"),
            (["forward", "x.npy", "-o", "y.npy"], "--num-groups is required"),
            (["forward", "x.npy", "-o", "y.npy", "--num-group", "3"],
             "--num-group: not a flag; --num-groups is required"),
            (["verify", "x.npy", "--num-group", "3"], "--num-group: not a flag; "),
            (self.forward("--mean", "m.npy", "--rsdt", "r.npy"),
             "--rsdt: not a flag; --mean requires --rstd"),
            (self.forward("extra", "--mean", "m.npy", "--rsdt", "r.npy"),
             "--rsdt: not a flag; --mean requires --rstd"),
            (["forward", "a", ""], "--num-groups is required"),
            (["verify", "--seed", "-1"], '--seed: "-1", expected a whole number from 0'),
            (["verify", "--seed", "99999999999999999999"],
             '--seed: "99999999999999999999", expected a whole number from 0'),
            (["forward", "x.npy", "--num-groups", "3"], "--output is required"),
            (["forward", "x.npy", "-o", "y.npy", "--num-groups", "three"], "three"),
            (self.forward("--num-groups", "4"), "--num-groups"),
            (["forward", "x.npy", "-o", "y.npy", "--num-groups", "9223372036854775808"],
             '--num-groups: "9223372036854775808", expected a whole number'),
            (self.forward("--epsilon", "small"), '--epsilon: "small", expected a number'),
            (self.forward("--epsilon", ""), '--epsilon: "", expected a number'),
            (self.forward("--weight=", "--bias", "b.npy"), '--weight: "", expected a value'),
            (["verify", "--per-sample-gradients"], "--per-sample-gradients requires INPUT"),
            (["verify", "x.npy", "--num-groups", "3", "--frozen-statistics"],
             "--frozen-statistics requires --mean"),
            (self.forward("--layout", "NCHW"),
             '--layout: "NCHW", expected one of channels-first, channels-last'),
            (self.forward("--dtype", "float32"), '--dtype: "float32", expected bfloat16'),
            (self.forward("--mean", "m.npy"), "--mean requires --rstd"),
            (self.forward("--rstd", "r.npy"), "--rstd requires --mean"),
            (self.forward("--gamma", "w.npy"), "--gamma"),
            (self.forward("--timeout", "60"), "60, expected a positive duration with its unit"),
            (self.forward("--timeout", "0s"), "0s, expected a positive duration with its unit"),
            (self.forward("--timeout", "-1s"), "-1s, expected a positive duration with its unit"),
            (self.forward("--timeout", "inf"), "inf, expected a positive duration with its unit"),
            (self.forward("--server", "localhost"), "expected host:port"),
            (self.forward("--server", "localhost:0"), "expected 1 to 65535"),
            (self.forward("--mean-output", self.path("y.npy")), "named for two results"),
            (self.forward("--mean-output", self.path("tmp/../y.npy")),
             "tmp/../y.npy: named for two results"),
            (["status", "extra"], "extra"),
            (["completion"], "SHELL is required"),
        ]
        for arguments, message in cases:
            with self.subTest(arguments=arguments):
                self.fail_with(USAGE, message, *arguments)
        self.fail_with(USAGE, "expected host:port", *self.forward(),
                       environment={"GROUPNORM_SERVER": "localhost"})

    def test_of_input_files(self):
        text = pathlib.Path(self.path("x.npy"))
        text.write_text("not an array")
        self.fail_with(FILE, f"{text}: not a .npy file; save it with numpy.save",
                       *self.forward())
        self.save("x.npy", numpy.asfortranarray(self.normal(2, 6, 4)))
        self.fail_with(FILE, "convert it with numpy.ascontiguousarray", *self.forward())
        self.save("x.npy", self.normal(2, 6, 4).astype(">f4"))
        self.fail_with(FILE, "expected little-endian; convert it with astype('<f4')",
                       *self.forward())
        self.save("x.npy", numpy.zeros((2, 6, 4), "i8"))
        self.fail_with(FILE, "element type '<i8', expected float16", *self.forward())
        self.save("x.npy", numpy.zeros((2, 6, 4), "u2"))
        self.fail_with(FILE, "--dtype bfloat16 reads uint16 as bfloat16", *self.forward())
        self.small_input()
        self.fail_with(FILE, "x.npy: FLOAT32, expected BFLOAT16, uint16 in a .npy file, because of "
                       "--dtype bfloat16",
                       *self.forward("--dtype", "bfloat16"))
        os.truncate(self.path("x.npy"), os.path.getsize(self.path("x.npy")) - 1)
        self.fail_with(FILE, "191 bytes of elements, expected 192", *self.forward())
        os.remove(self.path("x.npy"))
        self.fail_with(FILE, "x.npy: No such file or directory", *self.forward())
        self.small_input()
        for flag in ("--weight", "--bias"):
            self.fail_with(FILE, "none.npy: No such file or directory",
                           *self.forward(flag, self.path("none.npy")))
        for given in (("x.npy", "none.npy"), ("none.npy", "x.npy")):
            self.fail_with(FILE, "none.npy: No such file or directory",
                           *self.forward("--mean", self.path(given[0]), "--rstd",
                                         self.path(given[1])))

    def test_of_output_files_before_anything_is_computed(self):
        self.small_input()
        for flag in ("-o", "--mean-output", "--rstd-output"):
            arguments = ["forward", self.path("x.npy"), "--num-groups", 3]
            arguments += ["-o", self.path("y.npy")] if flag != "-o" else []
            self.fail_with(FILE, "none/y.npy: No such file or directory", *arguments, flag,
                           self.path("none/y.npy"))
            self.fail_with(FILE, ": not a regular file", *arguments, flag, self.folder)
            self.fail_with(FILE, '"": expected the name of a file', *arguments, flag, "")
        self.assertEqual(sorted(os.listdir(self.folder)), ["tmp", "x.npy"])

    def test_leave_the_output_as_it_was(self):
        self.small_input()
        old = pathlib.Path(self.path("y.npy"))
        old.write_text("old")
        self.fail_with(REFUSED, "INVALID_ARGUMENT: config.num_groups: 4, expected",
                       "forward", self.path("x.npy"), "--num-groups", 4, "-o", old,
                       embedded=True)
        self.assertEqual(old.read_text(), "old")
        self.assertEqual(sorted(os.listdir(self.folder)), ["tmp", "x.npy", "y.npy"])

    def test_of_requests(self):
        self.save("x.npy", self.normal(6))
        self.fail_with(REFUSED, "INVALID_ARGUMENT: input.shape: ",
                       *self.forward("--mean-output", self.path("m.npy")), embedded=True)
        self.small_input()
        self.fail_with(REFUSED, "INVALID_ARGUMENT: weight.shape: ",
                       *self.forward("--weight", self.save("w.npy", self.normal(5))),
                       embedded=True)
        self.fail_with(REFUSED, "INVALID_ARGUMENT: config.num_groups: -9, ",
                       "forward", self.path("x.npy"), "--num-groups", -9, "-o",
                       self.path("y.npy"), "--mean-output", self.path("m.npy"),
                       embedded=True)

    def test_of_requests_beyond_the_servers_limits(self):
        self.save("x.npy", self.normal(2, 6, 40000))
        with self.server("--max-message-bytes", "1MiB") as address:
            self.fail_with(REFUSED, "RESOURCE_EXHAUSTED: ", *self.forward("--server", address))

    def save_empty(self, *shape):
        """x.npy of a shape without elements that numpy itself refuses."""
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': %s}" % repr(shape).encode()
        pathlib.Path(self.path("x.npy")).write_bytes(
            b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)

    def test_of_shapes_that_cost_more_than_they_hold(self):
        self.save_empty(1 << 40, 1, 0)
        self.fail_with(REFUSED, "RESOURCE_EXHAUSTED: ", "forward", self.path("x.npy"),
                       "--num-groups", 1, "-o", self.path("y.npy"), embedded=True)

    @unittest.skipIf(os.environ["GROUPNORM_SANITIZE"], "its allocator never fails")
    def test_of_results_that_do_not_fit_into_memory(self):
        self.save_empty(1 << 50, 1, 0)
        self.fail_with(FILE, "the tensors do not fit into memory", "forward",
                       self.path("x.npy"), "--num-groups", 1, "-o", self.path("y.npy"),
                       "--mean-output", self.path("m.npy"), embedded=True)

    def test_of_the_place_for_the_own_servers_socket(self):
        self.small_input()
        self.fail_with(FILE, "TMPDIR names another place", *self.forward(),
                       environment={"TMPDIR": self.path("none")})
        deep = self.folder / ("d" * 100)
        deep.mkdir()
        self.fail_with(FILE, "TMPDIR names another place", *self.forward(),
                       environment={"TMPDIR": str(deep)})
        self.assertEqual(os.listdir(deep), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)  # Which names what it skips.

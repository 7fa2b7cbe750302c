"""Runs the real `groupnorm` on files: every exit code, every kind of message.

The numbers are compared with numpy in float64; how exact they are is what
`groupnorm verify` is for.
"""

import contextlib
import os
import pathlib
import signal
import socket
import stat
import subprocess
import tempfile
import unittest

import numpy

CLI = os.environ["GROUPNORM_CLI"]
SERVER = os.environ["GROUPNORM_SERVER_PROGRAM"]

OK, EXCESS, USAGE, FILE, REFUSED, NO_ANSWER = range(6)
EMBEDDED = "groupnorm: no --server given, computing in this process\n"


def bfloat16_bits(values):
    """Rounds by adding half: right but for ties and NaN, of which there are none."""
    bits = values.astype("<f4").view("<u4")
    return ((bits + 0x8000) >> 16).astype("<u2")


def from_bfloat16_bits(bits):
    return (bits.astype("<u4") << 16).view("<f4").astype("f8")


def groups_of(x, num_groups):
    """(N, C, *) as (N, G, values of the group)."""
    return x.reshape(x.shape[0], num_groups, -1)


def per_channel(values, x):
    return values.reshape((1, -1) + (1,) * (x.ndim - 2))


def forward(x, num_groups, weight, bias, epsilon):
    g = groups_of(x, num_groups)
    mean = g.mean(axis=2)
    rstd = 1 / numpy.sqrt(g.var(axis=2) + epsilon)
    xhat = ((g - mean[..., None]) * rstd[..., None]).reshape(x.shape)
    return xhat * per_channel(weight, x) + per_channel(bias, x), mean, rstd


def backward(x, dy, num_groups, weight, mean, rstd, frozen):
    """grad_input, and grad_weight and grad_bias per sample."""
    xhat = ((groups_of(x, num_groups) - mean[..., None]) * rstd[..., None]).reshape(x.shape)
    spatial = tuple(range(2, x.ndim))
    grad_weight, grad_bias = (dy * xhat).sum(axis=spatial), dy.sum(axis=spatial)
    d = groups_of(dy * per_channel(weight, x), num_groups)
    h = groups_of(xhat, num_groups)
    if not frozen:
        d = d - d.mean(axis=2, keepdims=True) - h * (d * h).mean(axis=2, keepdims=True)
    return (d * rstd[..., None]).reshape(x.shape), grad_weight, grad_bias


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.random = numpy.random.default_rng(7)

    def path(self, name):
        return str(self.folder / name)

    def save(self, name, array):
        numpy.save(self.path(name), array)
        return self.path(name)

    def load(self, name):
        return numpy.load(self.path(name))

    def normal(self, *shape, dtype="f4"):
        return self.random.standard_normal(shape).astype(dtype)

    def run_cli(self, *arguments, environment=(), **options):
        full = {name: value for name, value in os.environ.items()
                if name != "GROUPNORM_SERVER"}
        full |= {"TMPDIR": str(self.temporary)} | dict(environment)
        return subprocess.run([CLI, *map(str, arguments)], env=full, text=True,
                              capture_output=True, timeout=300, **options)

    def succeed(self, *arguments, **options):
        done = self.run_cli(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (OK, ""), done.stderr)
        return done.stderr

    def fail_with(self, code, message, *arguments, embedded=False, **options):
        """One line on stderr, after the one that says who computes."""
        done = self.run_cli(*arguments, **options)
        start = EMBEDDED if embedded else ""
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertTrue(done.stderr.startswith(start), done.stderr)
        line = done.stderr[len(start):]
        self.assertTrue(line.startswith("groupnorm: "), line)
        self.assertEqual(line.count("\n"), 1, line)
        self.assertIn(message, line)

    @contextlib.contextmanager
    def server(self, *flags, listen="127.0.0.1:0"):
        """A real server; its address."""
        with subprocess.Popen([SERVER, "--listen", listen, *flags], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                line = process.stdout.readline()
                self.assertTrue(line.startswith("groupnorm-server listening on "), line)
                yield line.split()[-1]
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def small_input(self):
        return self.save("x.npy", self.normal(2, 6, 4))


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


class Status(CliTest):
    def test_prints_what_the_server_is(self):
        with self.server("--workers", "3", "--max-message-bytes", "32MiB") as address:
            done = self.run_cli("status", "--server", address)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())
        facts = {name: value.strip() for name, value in lines.items()}
        self.assertEqual(facts["address"], address)
        self.assertRegex(facts["version"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(facts["uptime"], r"^\d+(s|m(\d+s)?)$")
        self.assertEqual(facts["workers"], "3")
        self.assertEqual(facts["max message bytes"], "33554432 (32 MiB)")
        self.assertEqual(sorted(facts["dtypes"].split()),
                         ["BFLOAT16", "FLOAT16", "FLOAT32", "FLOAT64"])
        self.assertTrue(facts["simd target"])

    def test_says_where_its_output_cannot_be_written(self):
        with self.server() as address, open("/dev/full", "w") as full:
            done = subprocess.run([CLI, "status", "--server", address], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stderr),
                         (FILE, "groupnorm: standard output: No space left on device\n"))

    def test_prints_a_size_that_is_no_whole_number_of_mebibytes(self):
        with self.server("--max-message-bytes", "1000000") as address:
            done = self.run_cli("status", environment={"GROUPNORM_SERVER": address})
        self.assertIn("max message bytes  1000000\n", done.stdout)

    def test_names_the_address_where_nothing_listens(self):
        with socket.socket() as bound:  # Bound, so that nobody else listens there.
            bound.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % bound.getsockname()[1]
            self.fail_with(NO_ANSWER, f"no answer from {address}: ", "status", "--server",
                           address)
        address = "unix:" + self.path("no-socket")
        self.fail_with(NO_ANSWER, f"no answer from {address}: ", "status", "--server", address)

    def test_gives_up_after_the_timeout(self):
        with socket.socket() as silent:  # Connects, but never says a word.
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            self.fail_with(NO_ANSWER,
                           f"no answer from {address} within 50ms (--timeout allows more)",
                           "status", "--server", address, "--timeout", "50ms")


class Failures(CliTest):
    def forward(self, *more):
        return ["forward", self.path("x.npy"), "--num-groups", 3, "-o", self.path("y.npy"),
                *more]

    def test_of_the_command_line(self):
        self.small_input()
        cases = [
            ([], "expected one of forward, backward, verify, status"),
            (["normalize"], "normalize: not a command, expected one of forward, "),
            (["forward"], "INPUT is required (groupnorm forward --help lists"),
            (["forward", "x.npy", "-o", "y.npy"], "--num-groups is required"),
            (["forward", "x.npy", "--num-groups", "3"], "--output is required"),
            (["forward", "x.npy", "-o", "y.npy", "--num-groups", "three"], "three"),
            (self.forward("--num-groups", "4"), "--num-groups"),
            (["forward", "x.npy", "-o", "y.npy", "--num-groups", "9223372036854775808"],
             '--num-groups: "9223372036854775808", expected a whole number'),
            (self.forward("--epsilon", "small"), "small"),
            (self.forward("--layout", "NCHW"), "--layout"),
            (self.forward("--dtype", "float32"), "--dtype"),
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
        self.fail_with(FILE, "x.npy: FLOAT32, expected uint16 because of --dtype bfloat16",
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


class Process(CliTest):
    def test_helps_without_a_manual(self):
        for command in ([], ["forward"], ["backward"], ["verify"], ["status"]):
            done = self.run_cli(*command, "--help")
            self.assertEqual((done.returncode, done.stderr), (OK, ""))
            self.assertIn("Usage: groupnorm", done.stdout)
            if command:
                self.assertIn("Example", done.stdout)
                self.assertIn("--timeout DURATION", done.stdout)
                self.assertIn("GROUPNORM_SERVER", done.stdout)
            else:
                for code in range(6):
                    self.assertRegex(done.stdout, rf"(?m)^  {code}  \w")

    def test_tells_its_version(self):
        done = self.run_cli("--version")
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        self.assertRegex(done.stdout, r"^groupnorm \d+\.\d+\.\d+\n$")

    def test_leaves_nothing_behind(self):
        self.small_input()
        self.succeed("forward", self.path("x.npy"), "--num-groups", 3, "-o",
                     self.path("y.npy"))
        self.assertEqual(os.listdir(self.temporary), [])
        self.assertEqual(sorted(os.listdir(self.folder)), ["tmp", "x.npy", "y.npy"])

    def test_leaves_nothing_behind_where_a_signal_ends_it(self):
        self.small_input()
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        environment.pop("GROUPNORM_SERVER", None)
        with subprocess.Popen([CLI, "verify"], env=environment, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            self.assertEqual(process.stderr.readline(), EMBEDDED)
            self.assertNotEqual(os.listdir(self.temporary), [])
            process.terminate()
        self.assertEqual(process.returncode, -signal.SIGTERM)
        self.assertEqual(os.listdir(self.temporary), [])
        with socket.socket() as silent:  # Called once the output is open.
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            command = [CLI, "forward", "x.npy", "--num-groups", "3", "-o", "y.npy",
                       "--server", "127.0.0.1:%d" % silent.getsockname()[1]]
            with subprocess.Popen(command, cwd=self.folder) as process:
                with silent.accept()[0]:
                    process.terminate()
                    process.wait()
            self.assertEqual(process.returncode, -signal.SIGTERM)
        self.assertEqual(sorted(os.listdir(self.folder)), ["tmp", "x.npy"])

    def test_writes_no_message_into_a_file_where_standard_error_is_closed(self):
        x = self.normal(2, 6, 4)
        self.save("x.npy", x)
        for closed in (2,), (0, 2), (0, 1, 2):
            done = subprocess.run(
                [CLI, "forward", "x.npy", "--num-groups", "3", "-o", "y.npy"],
                cwd=self.folder, timeout=300, preexec_fn=lambda: [os.close(c) for c in closed])
            self.assertEqual(done.returncode, OK)
            self.assertEqual(self.load("y.npy").shape, x.shape)

    def test_keeps_the_permissions_of_a_file_that_it_replaces(self):
        self.small_input()
        pathlib.Path(self.path("y.npy")).touch(mode=0o600)
        self.succeed("forward", self.path("x.npy"), "--num-groups", 3, "-o",
                     self.path("y.npy"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("y.npy")).st_mode), 0o600)

    def test_creates_files_as_the_umask_says(self):
        self.small_input()
        self.succeed("forward", self.path("x.npy"), "--num-groups", 3, "-o",
                     self.path("y.npy"), umask=0o027)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("y.npy")).st_mode), 0o640)


if __name__ == "__main__":
    unittest.main()

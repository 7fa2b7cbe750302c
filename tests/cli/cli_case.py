"""What the tests of the command line share: the real programs, files, numpy's answers.

The numbers are compared with numpy in float64; how exact they are is what
`groupnorm verify` is for.
"""

import contextlib
import os
import pathlib
import pty
import signal
import socket
import stat
import subprocess
import tempfile
import termios
import unittest

import numpy

CLI = os.environ["GROUPNORM_CLI"]
SERVER = os.environ["GROUPNORM_SERVER_PROGRAM"]

OK, EXCESS, USAGE, FILE, REFUSED, NO_ANSWER = range(6)
EMBEDDED = ("groupnorm: neither --server nor GROUPNORM_SERVER given, "
            "computing in this process\n")


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


def read_terminal(terminal, until=None):
    """What a terminal shows up to some bytes, or until the other end is closed."""
    shown = b""
    while until is None or until not in shown:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # The other end is closed.
            break
        if not part:
            break
        shown += part
    return shown


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
        with self.server_process(*flags, listen=listen) as (_, address):
            yield address

    @contextlib.contextmanager
    def server_process(self, *flags, listen="127.0.0.1:0"):
        """The same, with the process before the address."""
        with subprocess.Popen([SERVER, "--listen", listen, *flags], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                line = process.stdout.readline()
                self.assertTrue(line.startswith("groupnorm-server listening on "), line)
                yield process, line.split()[-1]
            finally:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)  # A test may have stopped it.
                process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def on_terminal(self, command, columns=0):
        """A process whose standard error is a terminal; it, and our end of that."""
        terminal, end = pty.openpty()
        termios.tcsetwinsize(end, (24, columns))
        self.addCleanup(os.close, terminal)
        process = self.enterContext(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=end))
        os.close(end)
        return process, terminal

    def small_input(self):
        return self.save("x.npy", self.normal(2, 6, 4))

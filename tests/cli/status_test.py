"""`groupnorm status` with real servers, and with none."""

import contextlib
import signal
import socket
import subprocess
import unittest

from cli_case import CLI, FILE, NO_ANSWER, OK, SERVER, CliTest, read_terminal


class Status(CliTest):
    def test_prints_what_the_server_is(self):
        with self.server("--workers", "3", "--max-message-bytes", "32MiB") as address:
            done = self.run_cli("status", "--server", address)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())
        facts = {name: value.strip() for name, value in lines.items()}
        self.assertEqual(facts["address"], address)
        self.assertEqual(facts["health"], "SERVING")
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

    def test_says_on_a_terminal_what_it_waits_for(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            process, terminal = self.on_terminal(
                [CLI, "status", "--server", address, "--timeout", "5m"])
            line = f"waiting for {address}".encode()
            self.assertIn(line, read_terminal(terminal, until=line))
            process.kill()

    @contextlib.contextmanager
    def draining(self):
        """A server that has said that it goes, and answers still; its address."""
        command = [SERVER, "--listen", "127.0.0.1:0", "--drain-delay", "300s"]
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            try:
                address = process.stdout.readline().split()[-1]
                process.terminate()
                while "draining" not in (line := process.stderr.readline()):
                    self.assertTrue(line)
                yield address
            finally:
                process.terminate()  # The second signal ends it at once.
                process.communicate(timeout=60)

    def test_fails_where_the_server_is_not_serving(self):
        with self.draining() as address:
            # The health changes just after the line that says that it will.
            for _ in range(1000):
                done = self.run_cli("status", "--server", address)
                if done.returncode != OK:
                    break
        self.assertEqual(done.returncode, NO_ANSWER)
        self.assertIn("health             NOT_SERVING\n", done.stdout)
        self.assertEqual(done.stderr,
                         f"groupnorm: {address}: NOT_SERVING, expected SERVING\n")

    def test_watches_a_server_until_it_is_gone(self):
        with self.server() as address:
            process = self.enterContext(subprocess.Popen(
                [CLI, "status", "--watch", "--server", address], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            self.addCleanup(process.terminate)
            time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
            self.assertRegex(process.stdout.readline(), rf"^{time} SERVING\n$")
        self.assertRegex(process.stdout.readline(), rf"^{time} NOT_SERVING\n$")
        self.assertRegex(process.stdout.readline(), rf"^{time} NO_ANSWER\n$")
        with self.server(listen=address):
            self.assertRegex(process.stdout.readline(), rf"^{time} SERVING\n$")
        process.terminate()
        self.assertEqual(process.wait(), -signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()

"""What `groupnorm` does to the machine around it: files, signals, streams, --help."""

import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import unittest

from cli_case import CLI, EMBEDDED, FILE, NO_ANSWER, OK, CliTest, read_terminal


def stop(process):
    """Returns when the process stands still."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


class Process(CliTest):
    def test_helps_without_a_manual(self):
        for command in ([], ["forward"], ["backward"], ["verify"], ["status"], ["bench"],
                        ["completion"]):
            done = self.run_cli(*command, "--help")
            self.assertEqual((done.returncode, done.stderr), (OK, ""))
            self.assertIn("Usage: groupnorm", done.stdout)
            self.assertIn("Example", done.stdout)
            self.assertLess(max(map(len, done.stdout.splitlines())), 100)
            if command not in ([], ["completion"]):
                self.assertIn("--timeout DURATION", done.stdout)
                self.assertIn("GROUPNORM_SERVER", done.stdout)
            if not command:
                for code in range(6):
                    self.assertRegex(done.stdout, rf"(?m)^  {code}  \w")

    def test_tells_its_version(self):
        done = self.run_cli("--version")
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        self.assertRegex(done.stdout, r"^groupnorm \d+\.\d+\.\d+\n$")

    def test_fails_where_its_output_cannot_be_written(self):
        # More than a buffer of the standard library, and less.
        for command in (["completion", "bash"], ["completion", "fish"], ["completion", "zsh"],
                        ["--help"], ["forward", "--help"], ["--version"]):
            with self.subTest(command=command), open("/dev/full", "w") as full:
                done = subprocess.run([CLI, *command], stdout=full, stderr=subprocess.PIPE,
                                      text=True, timeout=300)
                self.assertEqual(done.returncode, FILE)
                self.assertRegex(done.stderr, r"^groupnorm: standard output: .*\n$")

    def test_shows_on_a_terminal_what_it_waits_for(self):
        for command, arguments, size in (
                ("forward", ["-o", self.path("y.npy")], "0.5"),
                ("backward", [self.path("x.npy"), "--grad-input", self.path("y.npy")], "1.0")):
            self.save("x.npy", self.normal(2, 4, 1 << 14))
            with self.server_process() as (server, address):
                stop(server)  # It answers once the line was seen.
                process, terminal = self.on_terminal(
                    [CLI, command, self.path("x.npy"), "--num-groups", "2", "--server",
                     address, *arguments])
                shown = read_terminal(terminal, until=b" MiB, ")
                server.send_signal(signal.SIGCONT)
                shown += read_terminal(terminal)
                self.assertEqual(process.wait(), OK)
            self.assertRegex(shown.decode(),
                             rf"^\rwaiting for {address} to answer {size} MiB, \d+ s\x1b\[K")
            self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)
            self.assertEqual(self.load("y.npy").shape, (2, 4, 1 << 14))

    def test_cuts_what_it_shows_to_the_width_of_the_terminal(self):
        self.small_input()
        with self.server_process() as (server, address):
            stop(server)
            process, terminal = self.on_terminal(
                [CLI, "forward", self.path("x.npy"), "--num-groups", "3", "--server", address,
                 "-o", self.path("y.npy")], columns=40)
            shown = read_terminal(terminal, until=b"\x1b[K")
            server.send_signal(signal.SIGCONT)
            shown += read_terminal(terminal)
            self.assertEqual(process.wait(), OK)
        line = f"waiting for {address} to answer 0.0 MiB, "[:39]
        self.assertRegex(shown.decode(), rf"^(\r{re.escape(line)}\x1b\[K)+\r\x1b\[K$")

    def test_shows_nothing_in_a_pipe(self):
        self.small_input()
        with self.server_process() as (server, address):
            stop(server)  # It never answers: the call takes all its time.
            self.fail_with(NO_ANSWER, f"no answer from {address} within 1.5s", "forward",
                           self.path("x.npy"), "--num-groups", 3, "-o", self.path("y.npy"),
                           "--server", address, "--timeout", "1500ms")

    def test_leaves_nothing_behind(self):
        self.small_input()
        self.succeed("forward", self.path("x.npy"), "--num-groups", 3, "-o",
                     self.path("y.npy"))
        self.assertEqual(os.listdir(self.temporary), [])
        self.assertEqual(sorted(os.listdir(self.folder)), ["tmp", "x.npy", "y.npy"])

    def verify_ended_by(self, signals, **options):
        """Returns what ended `verify`, once its server has its files and it got the signals."""
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        environment.pop("GROUPNORM_SERVER", None)
        with subprocess.Popen([CLI, "verify"], env=environment, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              **options) as process:
            self.assertEqual(process.stderr.readline(), EMBEDDED)
            self.assertNotEqual(os.listdir(self.temporary), [])
            for number in signals:
                process.send_signal(number)
            self.assertEqual(process.stderr.read(), "")
        self.assertEqual(os.listdir(self.temporary), [])
        return -process.returncode

    def test_removes_its_socket_where_a_signal_ends_it(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.assertEqual(self.verify_ended_by([number]), number)

    def test_goes_on_at_a_signal_that_is_ignored(self):
        self.assertEqual(
            self.verify_ended_by(
                [signal.SIGHUP, signal.SIGTERM],
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)),
            signal.SIGTERM)

    def test_removes_its_output_where_a_signal_ends_it(self):
        self.small_input()
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

"""`groupnorm-server` as a command: its settings, and what it says of mistakes in them."""

import pathlib
import subprocess
import unittest

from cli_case import OK, SERVER, CliTest

FAILURE, BAD_FLAGS = 1, 2


class Server(CliTest):
    def run_server(self, *flags, **options):
        options = {"stdout": subprocess.PIPE} | options
        return subprocess.run([SERVER, *flags], stderr=subprocess.PIPE, text=True,
                              timeout=300, **options)

    def config(self, text):
        pathlib.Path(self.path("server.conf")).write_text(text)
        return "--config=" + self.path("server.conf")

    def test_prints_settings_that_it_reads_again(self):
        config = self.config("# a comment\nworkers = 3\nmax-message-bytes = 1MiB\n")
        printed = self.run_server(config, "--workers=4", "--print-config")
        self.assertEqual((printed.returncode, printed.stderr), (OK, ""))
        self.assertIn("\nworkers = 4\n", printed.stdout)
        self.assertIn("\nmax-message-bytes = 1MiB\n", printed.stdout)
        again = self.run_server(self.config(printed.stdout), "--print-config")
        self.assertEqual(again.stdout, printed.stdout)
        checked = self.run_server(config, "--check-config")
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr),
                         (OK, "the settings are valid\n", ""))

    def test_says_in_one_line_what_is_wrong(self):
        folder, file = str(self.folder), self.path("server.conf")
        for flags, message in (
                ([f"--config={folder}"], f"{folder}: Is a directory"),
                ([f"--config={folder}/none"], f"{folder}/none: No such file or directory"),
                (["--config=/dev/zero"], "/dev/zero: more than 1 MiB, expected a file of"),
                ([self.config("workers\n")], f"{file}:1: 'workers', expected name = value"),
                (["--workers=many"], "--workers: 'many', expected a whole number"),
                (["--workers="], "--workers: '', expected a value"),
                (["--worker=4"], "--worker=4 (groupnorm-server --help lists what there is)"),
                (["extra"], "extra (groupnorm-server --help lists what there is)")):
            with self.subTest(flags=flags):
                done = self.run_server(*flags, "--check-config")
                self.assertEqual((done.returncode, done.stdout), (BAD_FLAGS, ""))
                self.assertTrue(done.stderr.startswith("groupnorm-server: "), done.stderr)
                self.assertIn(message, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_says_where_its_output_cannot_be_written(self):
        for flag in ("--help", "--version", "--print-config", "--check-config"):
            with open("/dev/full", "w") as full:
                done = self.run_server(flag, stdout=full)
            self.assertEqual(
                (done.returncode, done.stderr),
                (FAILURE, "groupnorm-server: standard output: No space left on device\n"))

    def test_drains_where_nobody_reads_its_log_any_more(self):
        with subprocess.Popen([SERVER, "--listen=127.0.0.1:0", "--drain-delay=0s"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self.assertIn(b" listening on ", process.stdout.readline())
            process.stderr.close()
            process.terminate()
            self.assertEqual(process.wait(), OK)


if __name__ == "__main__":
    unittest.main()

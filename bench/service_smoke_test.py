"""Runs the service benchmark for moments: what it prints must be whole, not fast.

  python3 -B bench/service_smoke_test.py BUILD_FOLDER
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import compare_service  # noqa: E402: found through the line above.

BUILD = pathlib.Path(sys.argv.pop()).resolve()


class ServiceSmoke(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_command(self, *command):
        return subprocess.run(command, capture_output=True, text=True)

    def test_a_cell_is_measured_and_reported(self):
        done = self.run_command(
            sys.executable, "-B", HERE / "compare_service.py", "--rounds=2",
            "--time=0.001", "--patience=0", "--filter=^unix/64KiB/4$",
            f"--build={BUILD}", f"--output={self.folder / 'service.json'}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        row, = json.loads((self.folder / "service.json").read_text())["rows"]
        self.assertEqual(row["tensor_bytes"], 65536)
        self.assertEqual(set(row["sides"]), {"echo", *compare_service.OTHERS})
        for side in row["sides"].values():
            self.assertGreater(side["gb_per_s"]["median"], 0)
            self.assertGreater(side["server_peak_bytes"], 65536)
        readme = self.folder / "README.md"
        readme.write_text("# Before\n\n<!-- measured service: begin -->\nold\n"
                          "<!-- measured service: end -->\n\nAfter\n")
        done = self.run_command(
            sys.executable, "-B", HERE / "report_service.py", "--results", self.folder,
            "--readme", readme)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        text = readme.read_text()
        self.assertTrue(text.startswith("# Before"))
        self.assertTrue(text.endswith("\n\nAfter\n"))
        self.assertNotIn("old", text)
        self.assertIn("| unix/64KiB/4", text)
        self.assertIn("unix/64KiB/4", (self.folder / "service.txt").read_text())
        self.assertIn("<svg", (self.folder / "service.svg").read_text())

    def test_sides_that_do_not_fit_together_meet_the_fastest_echo_one_by_one(self):
        options = argparse.Namespace(rounds=1, time=0.001, patience=0, build=BUILD)
        cell = compare_service.Cell("unix", "64KiB", 1)
        with (unittest.mock.patch.object(compare_service, "available_bytes",
                                         return_value=0),
              unittest.mock.patch.object(
                  compare_service, "measure_sides",
                  wraps=compare_service.measure_sides) as measure_sides):
            row = compare_service.measure_cell(cell, options)
        self.assertTrue(row["in_pairs"])
        self.assertEqual(set(row["sides"]), {"echo", *compare_service.OTHERS})
        groups = [call.args[1] for call in measure_sides.call_args_list]
        self.assertEqual(groups, [
            list(compare_service.ECHOES),
            *([row["echo"], name] for name in compare_service.OTHERS)])

    def test_a_filter_that_matches_nothing_is_named(self):
        done = self.run_command(sys.executable, "-B", HERE / "compare_service.py",
                                "--filter=none")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "no cell matches --filter\n")

    def test_faults_of_the_command_line_are_named(self):
        load = BUILD / "bench/service/service_load"
        done = self.run_command(load, "raw", "--tensor-bytes=100")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("100, expected a multiple of 128", done.stdout + done.stderr)
        peer = BUILD / "bench/service/service_peer"
        done = self.run_command(peer, "generated", f"--listen=unix:{self.folder}/no/s")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--listen: unix:", done.stderr)

    def test_a_response_that_is_not_right_is_an_error(self):
        peer = subprocess.Popen(
            [BUILD / "bench/service/service_peer", "echo", "--response-bytes=7"],
            stdout=subprocess.PIPE, text=True)
        try:
            address = peer.stdout.readline().split()[-1]
            load = BUILD / "bench/service/service_load"
            done = self.run_command(load, "raw", "--tensor-bytes=128",
                                    f"--address={address}")
            self.assertEqual(done.returncode, 1)
            self.assertIn("response: 7 bytes, expected ", done.stderr)
            done = self.run_command(load, "generated", "--tensor-bytes=128",
                                    f"--address={address}")
            self.assertEqual(done.returncode, 1)
        finally:
            peer.kill()
            peer.wait()
            peer.stdout.close()


if __name__ == "__main__":
    unittest.main()

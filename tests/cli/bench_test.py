"""`groupnorm bench`: what it prints, not how fast the machine is."""

import json
import re
import subprocess
import unittest

from cli_case import CLI, NO_ANSWER, OK, REFUSED, USAGE, CliTest, read_terminal

SMALL = ["--shape", "2,6,4", "--num-groups", 3, "--duration", "200ms"]


class Bench(CliTest):
    def test_measures_every_element_type_and_shape(self):
        with self.server() as address:
            done = self.run_cli("bench", "--server", address, *SMALL, "--shape", "1,3,5,5",
                                "--dtype", "float32", "--dtype", "bfloat16", "--in-flight", 3)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        self.assertRegex(done.stdout, rf"^server: {address}, version \d+\.\d+\.\d+, \d+ worker")
        for run in ("FLOAT32 [2, 6, 4]", "FLOAT32 [1, 3, 5, 5]", "BFLOAT16 [2, 6, 4]",
                    "BFLOAT16 [1, 3, 5, 5]"):
            self.assertIn(f"forward {run}, 3 groups, 3 in flight, 200ms\n", done.stdout)
        calls = re.findall(r"(?m)^calls    (\d+) \(.*/s\), 0 failed, 0 not sent$", done.stdout)
        self.assertEqual(len(calls), 4)
        # The bars of a run hold all of its calls.
        for number, run in zip(calls, re.split(r"(?m)^forward ", done.stdout)[1:]):
            bars = re.findall(r"(?m)^<= +\S+ +(\d+)", run)
            self.assertGreater(int(number), 0)
            self.assertEqual(sum(map(int, bars)), int(number))

    def test_prints_json(self):
        for operation, tensors in (("forward", 2), ("backward", 3)):
            done = self.run_cli("bench", "--embedded", *SMALL, "--operation", operation,
                                "--json", environment={"GROUPNORM_SERVER": "127.0.0.1:1"})
            self.assertEqual((done.returncode, done.stderr), (OK, ""))
            found = json.loads(done.stdout)
            self.assertEqual(found["server"], "within this process")
            (run,) = found["runs"]
            self.assertEqual((run["operation"], run["dtype"], run["shape"], run["num_groups"]),
                             (operation, "FLOAT32", [2, 6, 4], 3))
            self.assertEqual((run["in_flight"], run["rate"], run["failed"], run["not_sent"]),
                             (1, None, 0, 0))
            self.assertAlmostEqual(run["gb_per_second"],
                                   run["calls_per_second"] * 192 * tensors / 1e9)
            self.assertAlmostEqual(run["calls"] / run["elapsed_seconds"],
                                   run["calls_per_second"])
            latency = run["latency_seconds"]
            self.assertEqual(list(latency), ["p50", "p90", "p99", "p99.9", "max"])
            self.assertEqual(sorted(latency.values()), list(latency.values()))

    def test_sends_at_a_rate(self):
        done = self.run_cli("bench", "--embedded", *SMALL[:-1], "1s", "--rate", 50, "--json")
        (run,) = json.loads(done.stdout)["runs"]
        self.assertEqual((run["rate"], run["in_flight"]), (50, 64))
        # Each of the second's 50 instants is either answered or said to be unsent.
        self.assertEqual(run["calls"] + run["failed"] + run["not_sent"], 50)

    def test_tells_what_a_rate_beyond_the_server_leaves(self):
        done = self.run_cli("bench", "--embedded", *SMALL, "--rate", 1000000, "--in-flight", 1,
                            "--json")
        (run,) = json.loads(done.stdout)["runs"]
        self.assertGreater(run["not_sent"], 0)

    def test_fails_where_the_first_call_does(self):
        self.fail_with(REFUSED, "INVALID_ARGUMENT: config.num_groups: 4, expected", "bench",
                       "--embedded", "--shape", "2,6,4", "--num-groups", 4, "--json")
        self.fail_with(NO_ANSWER, "no answer from 127.0.0.1:1: ", "bench", "--server",
                       "127.0.0.1:1")

    def test_refuses_flags_that_make_no_load(self):
        for flags, message in (
                (["--shape", "8"], '"8", expected extents as in 8,64,56,56'),
                (["--shape", "8,0"], '"8,0", expected extents'),
                (["--shape", "8,x"], '"8,x", expected extents'),
                (["--dtype", "int8"], '"int8", expected one of float32, float64'),
                (["--in-flight", "0"], '--in-flight: "0", expected 1 to 4096'),
                (["--in-flight", "5000"], "--in-flight"),
                (["--rate", "0"], '--rate: "0", expected 0.001 to 1e+06'),
                (["--rate", ""], '--rate: "", expected a number'),
                (["--duration", "5"], "--duration: 5, expected a positive duration"),
                (["--operation", "sideways"],
                 '--operation: "sideways", expected one of forward, backward')):
            with self.subTest(flags=flags):
                self.fail_with(USAGE, message, "bench", *flags)

    def test_shows_its_progress_on_a_terminal_only(self):
        command = [CLI, "bench", "--embedded", *map(str, SMALL[:-1]), "1500ms"]
        process, terminal = self.on_terminal(command)
        shown = read_terminal(terminal)
        self.assertEqual(process.wait(), OK)
        self.assertRegex(shown.decode(), r"\rforward FLOAT32 \[2, 6, 4\]: \d s of 2 s, \d+ calls")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))


if __name__ == "__main__":
    unittest.main()

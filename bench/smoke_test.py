"""Runs the benchmarks for moments: what they print must be whole, not fast.

  python3 -B bench/smoke_test.py KERNEL_BENCH
"""

import json
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from aims import aims_rows  # noqa: E402: found through the line above.
from rows import read_rows  # noqa: E402

KERNEL_BENCH = pathlib.Path(sys.argv.pop()).resolve()

# Speaks as torch_bench.py --serve does; answers a fixed time, and refuses float64.
PRETENDED_TORCH = """#!/usr/bin/env python3
import json, sys
print(json.dumps({"torch": "0.0", "cpu_capability": "none"}), flush=True)
for line in sys.stdin:
    answer = ({"error": "no kernel"} if "float64" in line else
              {"seconds": 1000.0, "iterations": 1, "page_faults": 0.0})
    print(json.dumps(answer), flush=True)
"""


class Smoke(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.shapes = self.folder / "shapes.txt"
        # The second one is large enough for several tasks.
        self.shapes.write_text("2,6,4,4 G3\n1,8,96,96 G4\n5,6 G3\n")

    def run_bench(self, *flags, shapes=None, **options):
        return subprocess.run(
            [KERNEL_BENCH, f"--shapes={shapes or self.shapes}",
             "--benchmark_min_time=0.0001", *flags],
            capture_output=True, text=True, **options)

    def run_script(self, script, *flags):
        done = subprocess.run([sys.executable, "-B", HERE / script, *flags],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_every_row_has_a_kernel_and_two_limits(self):
        done = self.run_bench("--benchmark_format=json")
        self.assertEqual(done.returncode, 0, done.stderr)
        content = json.loads(done.stdout)
        rows = read_rows(self.shapes)
        self.assertEqual(len(rows), 2 * 4 * 2 * (2 + 2 + 1))
        self.assertEqual(
            {benchmark["name"] for benchmark in content["benchmarks"]},
            {f"{row.name}/{side}/real_time"
             for row in rows for side in ("kernel", *row.limits)})
        traffic = {row.name: row.traffic_bytes for row in rows}
        for benchmark in content["benchmarks"]:
            with self.subTest(benchmark["name"]):
                self.assertGreater(benchmark["real_time"], 0)
                row = benchmark["name"].rsplit("/", 2)[0]
                self.assertAlmostEqual(
                    benchmark["bytes_per_second"] * benchmark["real_time"] * 1e-9,
                    traffic[row], delta=1e-6 * traffic[row])
        self.assertIn("date", content["context"])
        self.assertIn("compiler", content["context"])
        self.assertIn(content["context"]["simd_target"],
                      ("AVX-512", "AVX2", "portable"))

    def test_the_portable_target_can_be_forced(self):
        done = self.run_bench("--simd_target=portable", "--benchmark_format=json",
                              "--benchmark_filter=forward/float32/.*/2x6.*/kernel")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["context"]["simd_target"], "portable")

    def test_faults_of_the_command_line_are_named(self):
        for flags, shapes, text in (
                (["--simd_target=avx9"], None,
                 "--simd_target: expected avx512, avx2 or portable"),
                ([], self.folder / "none", "none: no file"),
                (["--unknown"], None, "--unknown")):
            with self.subTest(text):
                done = self.run_bench(*flags, shapes=shapes)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(text, done.stdout + done.stderr)

    def test_an_unknown_name_is_refused_when_serving(self):
        done = self.run_bench("--serve", input="forward/none\n")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(json.loads(done.stdout.splitlines()[1]),
                         {"error": "no such benchmark"})

    def compare(self, *flags):
        output = self.folder / "results" / "rows.json"
        text = self.run_script(
            "compare.py", "--kernel_bench", KERNEL_BENCH, "--shapes", self.shapes,
            "--rounds=2", "--min_time=0.0001", "--patience=0", "--output", output,
            *flags)
        return text, {row["name"]: row for row in json.loads(output.read_text())["rows"]}

    def test_compare_alternates_between_targets_and_torch(self):
        torch = self.folder / "torch"
        torch.write_text(PRETENDED_TORCH)
        torch.chmod(torch.stat().st_mode | stat.S_IXUSR)
        text, rows = self.compare(
            "--filter=forward/float(32|64)/.*first/2x6x4x4.*:1",
            "--targets=,portable", f"--torch_python={torch}")
        name = "forward/float32/channels_first/2x6x4x4_G3/threads:1"
        self.assertEqual(set(rows), {name, name.replace("float32", "float64")})
        row = rows[name]
        self.assertEqual(set(row["seconds"]), {
            "kernel", "copy", "copy_non_temporal", "kernel_portable", "torch"})
        for kernel in ("kernel", "kernel_portable"):
            self.assertGreater(row["x_torch"][kernel]["median"], 1000)
            self.assertGreater(row["of_limit"][kernel]["median"], 0)
        self.assertEqual(rows[name.replace("float32", "float64")]["x_torch"], {})
        self.assertIn(name, text)

    def test_means_leave_out_disturbed_rows(self):
        self.compare("--filter=forward/float32/.*first.*:1")
        path = self.folder / "results" / "rows.json"
        content = json.loads(path.read_text())
        for row, (median, disturbed) in zip(content["rows"], ((0.5, 0), (8, 2), (2, 0))):
            row["of_limit"] = {"kernel": {"median": median, "p10": median, "p90": median}}
            row["disturbed_rounds"] = disturbed
        path.write_text(json.dumps(content))
        readme = self.folder / "README.md"
        readme.write_text("<!-- measured: begin --><!-- measured: end -->")
        self.run_script("report.py", "--results", path.parent, "--readme", readme)
        self.assertIn("3 rows. In 1 of them", readme.read_text())
        self.assertIn("| forward float32 channels first, 1 thread | 1.00 | 0.50 ",
                      readme.read_text())

    def test_aims_stand_beside_what_was_found(self):
        rows = []
        for name, seconds, x_torch in (("8x32x16x16_G8", 2.0, 3.0), ("16x512x7x7_G32", 4.0, 1.5)):
            spread = {"median": x_torch, "p10": x_torch, "p90": x_torch}
            rows.append({
                "name": f"forward/float32/channels_first/{name}/threads:1",
                "traffic_bytes": 8, "limit": "copy", "x_torch": {"kernel": spread},
                "disturbed_rounds": 0,
                "of_limit": {"kernel": {"median": 0.7}},
                "seconds": {side: {"median": value} for side, value in (
                    ("kernel", seconds), ("copy", 1.4), ("torch", x_torch * seconds))}})
        table = {row[0]: row[1:] for row in aims_rows(rows, ["kernel"])}
        self.assertEqual(table["forward float32, within the caches"],
                         ["4.29", "0.65: 0.70", "2.40: 3.00"])
        self.assertEqual(table["every row"],
                         ["4.29 to 4.29", "-", "1.00: 1.50 to 3.00, all"])
        self.assertEqual(table["forward float32, all shapes"][2], "2.50: 2.12")
        self.assertEqual(table["forward float32, 20 MB"], ["-", "-", "-"])
        rows[1]["disturbed_rounds"] = 1
        table = {row[0]: row[1:] for row in aims_rows(rows, ["kernel"])}
        self.assertEqual(table["every row"], ["4.29", "-", "1.00: 3.00"])

    def test_report_fills_the_readme_and_the_table(self):
        self.compare("--filter=.*/2x6x4x4.*")
        readme = self.folder / "README.md"
        readme.write_text(
            "Before.\n\n<!-- measured: begin -->\nold\n<!-- measured: end -->\n\nAfter.\n")
        self.run_script("report.py", "--results", self.folder / "results",
                        "--readme", readme)
        text = readme.read_text()
        self.assertTrue(text.startswith("Before.\n\n<!-- measured: begin -->\n\n"))
        self.assertTrue(text.endswith("\n\n<!-- measured: end -->\n\nAfter.\n"))
        self.assertNotIn("old", text)
        self.assertIn("### Backward, channels last, 2 threads", text)
        table = (self.folder / "results" / "results.txt").read_text()
        for row in read_rows(self.shapes):
            if row.shape_name == "2x6x4x4_G3":
                self.assertIn(row.name, table)
        self.assertIn("<svg", (self.folder / "results" / "float32.svg").read_text())


if __name__ == "__main__":
    unittest.main()

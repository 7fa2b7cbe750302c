"""Tests scripts/check-layers.py on copies of the tree with one fault each."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]


class CheckLayersTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name)
        listed = self.git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard")
        for name in listed.splitlines():
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.tree / name)
        self.git(self.tree, "init", "--quiet")

    def git(self, folder, *arguments):
        return subprocess.run(["git", "-C", folder, *arguments], check=True,
                              capture_output=True, text=True).stdout

    def append(self, name, line):
        with open(self.tree / name, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def run_check(self):
        return subprocess.run(
            [sys.executable, ROOT / "scripts/check-layers.py", "--source", self.tree,
             "--build", self.tree / "build/dev"], capture_output=True, text=True)

    def assert_fault(self, expected):
        done = self.run_check()
        self.assertIn(expected, done.stdout, done.stderr)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)

    def test_passes_the_tree_as_it_is(self):
        done = self.run_check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_finds_the_header_of_a_layer_above(self):
        self.append("tensor/shape.cc", '#include "server/server.h"')
        self.assert_fault("includes server/server.h: tensor/ may not use server/")

    def test_finds_the_reference_in_the_server(self):
        self.append("server/server.h", '#include "kernels/reference/reference.h"')
        self.assert_fault("server/ may not use kernels/reference/")

    def test_finds_the_kernels_in_the_reference(self):
        self.append("kernels/reference/reference.h", '#include "kernels/group_norm.h"')
        self.assert_fault("kernels/reference/ may not use kernels/")

    def test_finds_a_generated_header_in_the_kernels(self):
        self.append("kernels/computation.cc", '#include "groupnorm/v1/tensor.pb.h"')
        self.assert_fault("kernels/ may not use proto/")

    def test_finds_a_foreign_library_in_the_kernels(self):
        self.append("kernels/computation.cc", "#include <grpcpp/grpcpp.h>")
        self.assert_fault("kernels/ may not use this library")

    def test_finds_threads_in_the_kernels(self):
        self.append("kernels/computation.cc", "#include <thread>")
        self.assert_fault("includes thread: starts or locks threads")

    def test_finds_a_forbidden_link(self):
        self.append("kernels/CMakeLists.txt",
                    "target_link_libraries(groupnorm_kernels PRIVATE groupnorm_proto)")
        done = self.run_check()
        self.assertIn("groupnorm_kernels links groupnorm_proto: kernels/ may not use "
                      "proto/", done.stdout, done.stderr)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()

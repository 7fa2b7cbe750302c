"""The package that is built, without an index: its bounds are those of its generator.

  python -B tests/package_test.py
"""

import email.parser
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile

from checkout import copy_sources

# Stands for grpcio-tools, which the build takes before any other generator.
PROTOC = '''
import pathlib
import sys

if sys.argv[1] == "--version":
    print({version!r})
    sys.exit()
folder = [flag.split("=")[1] for flag in sys.argv if flag.startswith("--python_out")][0]
package = pathlib.Path(folder, "groupnorm/v1")
package.mkdir(parents=True)
(package / "tensor_pb2.py").write_text({messages!r})
(package / "groupnorm_pb2.py").write_text({messages!r})
(package / "groupnorm_pb2_grpc.py").write_text({stubs!r})
'''


def bounds_of(requirements):
    """Name -> bounds. setuptools writes them in any order, with parentheses or without."""
    return {re.match(r"\w+", text)[0]: set(re.findall(r"[<>=]+[\d.]+", text))
            for text in requirements}


class PackageTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def build(self, environment=None):
        """What pip does without isolation, whose own errors pip would not show."""
        sources = copy_sources(self.folder / "sources")
        (self.folder / "wheels").mkdir()
        done = subprocess.run(
            [sys.executable, "-c", "import sys, setuptools.build_meta as backend; "
             "backend.build_wheel(sys.argv[1])", self.folder / "wheels"],
            cwd=sources, text=True, capture_output=True,
            env={**os.environ, **(environment or {})})
        return done.returncode, done.stdout + done.stderr

    def built_wheel(self, environment=None):
        status, text = self.build(environment)
        self.assertEqual(status, 0, text)
        wheel, = (self.folder / "wheels").glob("groupnorm-*.whl")
        return wheel

    def generator(self, *, version="libprotoc 35.1", messages="", stubs=""):
        """The environment in which the build finds a generator of these outputs."""
        package = self.folder / "generator" / "grpc_tools"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "protoc.py").write_text(
            PROTOC.format(version=version, messages=messages, stubs=stubs))
        return {"PYTHONPATH": str(package.parent)}

    def requirements_of(self, wheel):
        with zipfile.ZipFile(wheel) as files:
            path, = (name for name in files.namelist() if name.endswith("/METADATA"))
            metadata = email.parser.Parser().parsestr(files.read(path).decode())
        return bounds_of(metadata.get_all("Requires-Dist"))

    def expect_requirements(self, grpcio, protobuf, refused, **outputs):
        wheel = self.built_wheel(self.generator(**outputs))
        self.assertEqual(self.requirements_of(wheel), {
            "numpy": {">=1.22"}, "grpcio": {f">={grpcio}"},
            "protobuf": {f">={protobuf}", f"<{refused}"}})

    def test_code_that_names_its_generators_asks_for_no_older_ones(self):
        self.expect_requirements(
            "1.85.1", "7.35.1", 9, messages="# Protobuf Python Version: 7.35.1\n",
            stubs="import grpc\n\nGRPC_GENERATED_VERSION = '1.85.1'\n")

    def test_stubs_without_a_version_take_the_oldest_grpcio(self):
        self.expect_requirements("1.51", "4.25.1", 6,
                                 messages="# Protobuf Python Version: 4.25.1\n")

    def test_messages_without_a_version_are_of_the_age_of_protoc(self):
        self.expect_requirements("1.51", "4.21.12", 6, version="libprotoc 3.21.12")

    def test_protoc_may_have_left_out_the_major_version(self):
        self.expect_requirements("1.51", "4.24.3", 6, version="libprotoc 24.3")

    def test_the_protobuf_of_the_oldest_protoc_was_called_as_it_is(self):
        self.expect_requirements("1.51", "3.20.3", 5, version="libprotoc 3.20.3")

    def test_an_unknown_protoc_fails_the_build(self):
        status, text = self.build(self.generator(version="protoc, at your service"))
        self.assertNotEqual(status, 0)
        self.assertIn("groupnorm: protoc --version: 'protoc, at your service', expected "
                      "a version", text)

    def test_pip_does_not_leave_a_runtime_that_is_too_old(self):
        wheel = self.built_wheel(self.generator(
            messages="# Protobuf Python Version: 7.999.0\n"))
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "install",
             "--no-index", "--dry-run", wheel], text=True, capture_output=True)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stderr, r"protobuf(<9,)?>=7\.999\.0")

    def test_the_generator_of_this_machine_made_the_wheel(self):
        wheel = self.built_wheel()
        with zipfile.ZipFile(wheel) as files:
            names = files.namelist()
        for name in ("tensor_pb2", "groupnorm_pb2", "groupnorm_pb2_grpc", "__init__"):
            self.assertIn(f"groupnorm/v1/{name}.py", names)
        # The installed package, which the other tests use, was built in the same way.
        self.assertEqual(self.requirements_of(wheel),
                         bounds_of(importlib.metadata.requires("groupnorm")))


if __name__ == "__main__":
    unittest.main()

"""Generates the messages and stubs from the contract while the package is built.

The contract is that of the repository, ../../proto; so this builds from a checkout.
grpcio-tools generates them where it is installed, otherwise protoc with
grpc_python_plugin (Debian: protobuf-compiler-grpc).
"""

import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
CONTRACT = ("groupnorm/v1/tensor.proto", "groupnorm/v1/groupnorm.proto")


def version():
    """That of the project: CMakeLists.txt has it."""
    text = (ROOT / "CMakeLists.txt").read_text()
    return re.search(r"project\(groupnorm VERSION (\S+)", text)[1]


def protoc():
    """The command that knows --python_out and --grpc_python_out."""
    if importlib.util.find_spec("grpc_tools"):
        return [sys.executable, "-m", "grpc_tools.protoc"]
    plugin = shutil.which("grpc_python_plugin")
    if plugin is None or shutil.which("protoc") is None:
        sys.exit("groupnorm: neither grpcio-tools nor protoc with grpc_python_plugin "
                 "is installed, one of them is needed to build this package")
    return ["protoc", f"--plugin=protoc-gen-grpc_python={plugin}"]


class GenerateAndBuild(build_py):
    def run(self):
        super().run()
        folder = pathlib.Path(self.build_lib)
        subprocess.run([*protoc(), f"--proto_path={PROTO}", f"--python_out={folder}",
                        f"--grpc_python_out={folder}", *CONTRACT], check=True)
        (folder / "groupnorm" / "v1" / "__init__.py").write_text(
            '"""The messages and stubs of groupnorm.v1."""\n')


setup(version=version(), cmdclass={"build_py": GenerateAndBuild})

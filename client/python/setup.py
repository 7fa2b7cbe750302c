"""Generates the messages and stubs from the contract while the package is built.

The contract is that of the repository, ../../proto; so this builds from a checkout.
grpcio-tools generates them where it is installed, otherwise protoc with
grpc_python_plugin (Debian: protobuf-compiler-grpc).

Generated code does not run on a grpcio or a protobuf older than what generated it, and
pip keeps what is installed as long as it is within the bounds. So the generators'
versions are the lower bounds of the package.
"""

import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
CONTRACT = ("groupnorm/v1/tensor.proto", "groupnorm/v1/groupnorm.proto")
# Stubs that name no version are of a generator before 1.63, and run on any grpcio. This
# is the oldest that the client is tested with.
OLDEST_GRPCIO = "1.51"


def version():
    """That of the project: CMakeLists.txt has it."""
    text = (ROOT / "CMakeLists.txt").read_text()
    return re.search(r"project\(groupnorm VERSION (\S+)", text)[1]


def find_protoc():
    """The command of a protoc, and the flags with which it knows --grpc_python_out."""
    if importlib.util.find_spec("grpc_tools"):
        return [sys.executable, "-m", "grpc_tools.protoc"], []
    plugin = shutil.which("grpc_python_plugin")
    if plugin is None or shutil.which("protoc") is None:
        sys.exit("groupnorm: neither grpcio-tools nor protoc with grpc_python_plugin "
                 "is installed, one of them is needed to build this package")
    return ["protoc"], [f"--plugin=protoc-gen-grpc_python={plugin}"]


def protobuf_of(protoc):
    """The version of protobuf for Python that was released with a protoc."""
    text = subprocess.run([*protoc, "--version"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    # "libprotoc 3.21.12", and since the next one "libprotoc 22.0".
    numbers = re.search(r"(\d+)\.(\d+)\s*$", text)
    if numbers is None:
        sys.exit(f"groupnorm: protoc --version: {text.strip()!r}, expected a version")
    return f"{4 if int(numbers[1]) > 20 else 3}.{numbers[1]}.{numbers[2]}"


def requirements(generated, protoc):
    """What the generated code needs to run. It names the versions itself, except for
    that of a protobuf before 4.25."""
    stubs = (generated / "groupnorm_pb2_grpc.py").read_text()
    messages = (generated / "groupnorm_pb2.py").read_text()
    grpcio = re.search(r"^GRPC_GENERATED_VERSION = '(.+)'", stubs, re.MULTILINE)
    protobuf = re.search(r"^# Protobuf Python Version: (.+)$", messages, re.MULTILINE)
    grpcio = grpcio[1] if grpcio else OLDEST_GRPCIO
    protobuf = protobuf[1] if protobuf else protobuf_of(protoc)
    # protobuf promises to run what the major version before it generated.
    refused = int(protobuf.split(".")[0]) + 2
    return [f"grpcio>={grpcio}", f"protobuf>={protobuf},<{refused}"]


with tempfile.TemporaryDirectory() as folder:
    protoc, flags = find_protoc()
    subprocess.run([*protoc, *flags, f"--proto_path={PROTO}", f"--python_out={folder}",
                    f"--grpc_python_out={folder}", *CONTRACT], check=True)
    generated = pathlib.Path(folder, "groupnorm", "v1")
    (generated / "__init__.py").write_text(
        '"""The messages and stubs of groupnorm.v1."""\n')

    class BuildWithGenerated(build_py):
        def run(self):
            super().run()
            shutil.copytree(generated, pathlib.Path(self.build_lib, "groupnorm", "v1"),
                            dirs_exist_ok=True)

    setup(version=version(), cmdclass={"build_py": BuildWithGenerated},
          install_requires=["numpy>=1.22", *requirements(generated, protoc)])

#!/usr/bin/env python3
"""Fails where a layer includes or links what it must not.

Every folder of sources is a layer, and USES says which others it may use: the
arrows of ARCHITECTURE.md. Includes are read from the sources; links are asked of
CMake, transitive ones included, so that a forbidden layer cannot come in through
a third one.

  scripts/check-layers.py [--source FOLDER] [--build FOLDER]

The build folder is configured when it is not yet.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

# Layer -> the layers whose headers it may include and whose targets it may link.
USES = {
    "proto": set(),
    "tensor": set(),
    "kernels": {"tensor"},
    "kernels/reference": {"tensor"},
    "wire": {"tensor", "proto"},
    "server": {"wire", "kernels", "tensor", "proto"},
    "client": {"wire", "tensor", "proto"},
    "client/cli": {"client", "kernels/reference", "server", "tensor"},
}

# What CMake links behind those: whoever links a layer gets what that layer links.
BEHIND = {"client/cli": {"wire", "kernels", "proto"}}

# Layer -> patterns of the foreign headers that it may include, beside those of the
# C++ standard library. Absl alone is open to all, except where REFUSED says so.
FOREIGN = {
    "tensor": r"absl/.*",
    "kernels": r"absl/.*|hwy/.*",
    "kernels/reference": r"absl/.*",
    "wire": r"absl/.*|grpcpp/.*|grpc/.*|google/protobuf/.*",
    "server": r"absl/.*|grpcpp/.*|grpc/.*|google/protobuf/.*|spdlog/.*|CLI/.*",
    "client": r"absl/.*|grpcpp/.*|grpc/.*",
    "client/cli": r"absl/.*|CLI/.*|nlohmann/.*",
}

# The arithmetic runs on the threads of its caller and starts none.
THREADS = r"thread|mutex|shared_mutex|condition_variable|future|absl/synchronization/.*"
REFUSED = {"kernels": THREADS, "kernels/reference": THREADS}

# Headers of the folder tensor/ that users of the client library include.
PUBLIC_TENSOR = {f"groupnorm/{name}.h" for name in ("dtype", "shape", "tensor_view")}

# Free to use every layer.
UNBOUND = ("tests", "bench", "examples")

SOURCES = {".cc", ".h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def layer_of(path):
    """The layer of a file or folder, given from the root; None outside of all."""
    parts = pathlib.PurePosixPath(path).parts
    for length in range(len(parts), 0, -1):
        folder = "/".join(parts[:length])
        if folder in USES:
            return folder
    return None


def included_layer(header):
    """The layer that a header belongs to, by the name it is included with."""
    if header.startswith("groupnorm/v1/"):
        return "proto"
    if header in PUBLIC_TENSOR:
        return "tensor"
    if header.startswith("groupnorm/"):
        return "client"
    return layer_of(header)


def include_fault(layer, mark, header):
    """Why a file of this layer must not include the header; None if it may."""
    if re.fullmatch(REFUSED.get(layer, r"(?!)"), header):
        return "starts or locks threads"
    other = included_layer(header)
    if other is not None:
        if other != layer and other not in USES[layer]:
            return f"{layer}/ may not use {other}/"
    elif "/" in header or mark == '"':
        if not re.fullmatch(FOREIGN.get(layer, r"(?!)"), header):
            if not header.startswith(("sys/", "netinet/", "arpa/")):
                return f"{layer}/ may not use this library"
    return None


def check_includes(source):
    listed = subprocess.run(
        ["git", "-C", source, "ls-files", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True).stdout.splitlines()
    faults, count = [], 0
    for name in listed:
        layer = layer_of(name)
        path = pathlib.Path(source, name)
        if layer is None or path.suffix not in SOURCES or not path.exists():
            continue
        count += 1
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            fault = found and include_fault(layer, *found.groups())
            if fault:
                faults.append(f"{name}:{number}: includes {found[2]}: {fault}")
    return faults, count


def targets(source, build):
    """Yields (folder, name, ids of all it links) of every target, with its id."""
    query = pathlib.Path(build, ".cmake/api/v1/query/codemodel-v2")
    query.parent.mkdir(parents=True, exist_ok=True)
    query.touch()
    command = ["cmake", "-B", build]
    if not pathlib.Path(build, "CMakeCache.txt").exists():
        command += ["-S", source, "-G", "Ninja"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"CMake could not configure {build}:\n{done.stderr}")
    reply = query.parent.parent / "reply"
    index = json.loads(max(reply.glob("index-*.json")).read_text())
    model = json.loads((reply / index["reply"]["codemodel-v2"]["jsonFile"]).read_text())
    for entry in model["configurations"][0]["targets"]:
        target = json.loads((reply / entry["jsonFile"]).read_text())
        links = [other["id"] for other in target.get("dependencies", [])]
        yield entry["id"], (target["paths"]["source"], target["name"], links)


def check_links(source, build):
    known = dict(targets(source, build))
    faults, count = [], 0
    for folder, name, links in known.values():
        layer = layer_of(folder)
        if layer is None:
            if not folder.startswith(UNBOUND):
                faults.append(f"{folder}/CMakeLists.txt: {name}: no rule for this folder")
            continue
        count += 1
        allowed = USES[layer] | BEHIND.get(layer, set()) | {layer}
        for link in links:
            other_folder, other_name, _ = known[link]
            if layer_of(other_folder) not in allowed:
                faults.append(f"{folder}/CMakeLists.txt: {name} links {other_name}: "
                              f"{layer}/ may not use {other_folder}/")
    return faults, count


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default=root, type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, help="default: SOURCE/build/dev")
    options = parser.parse_args()
    build = options.build or options.source / "build/dev"

    include_faults, files = check_includes(options.source)
    link_faults, libraries = check_links(options.source, build)
    for fault in include_faults + link_faults:
        print(fault)
    if include_faults or link_faults:
        return 1
    print(f"{files} files and {libraries} targets keep to their layers.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

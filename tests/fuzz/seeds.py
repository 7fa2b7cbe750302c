#!/usr/bin/env python3
"""Writes the fuzzers' seeds: the conformance vectors' requests, and responses of
the shapes that they expect, each with the bytes of fuzz_input.h behind it.

  seeds.py VECTORS OUTPUT
"""

import json
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).parent.parent / "conformance"))
import wire  # noqa: E402: found once the path is set

# From the end: type, order of the tasks, number of cuts; before them the cuts.
TYPES = {"Forward": 0, "Backward": 1}
RESPONSE = 2
UNCUT = bytes([0, 0])
CUT_TWICE = bytes([7, 0, 60, 0, 2, 1])

FIELDS = {
    "grad_weight": 1, "grad_bias": 2, "grad_input": 15, "output": 15,
}


def response(tensors):
    def encode(tensor):
        count = 1
        for extent in tensor["shape"]:
            count *= extent
        dtype = tensor["dtype"]
        data = bytes(count * wire.ELEMENT_SIZES[dtype])
        return wire.Tensor(wire.DTYPES[dtype], tensor["shape"], data).encode()

    statistics = b""
    encoded = b""
    for path, tensor in tensors.items():
        if path.startswith("statistics."):
            number = 1 if path.endswith("mean") else 2
            statistics += wire.bytes_field(number, encode(tensor))
        else:
            encoded += wire.bytes_field(FIELDS[path], encode(tensor))
    return (wire.bytes_field(1, statistics) if statistics else b"") + encoded


def main():
    vectors, output = map(pathlib.Path, sys.argv[1:])
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    cases = json.loads((vectors / "manifest.json").read_text())["cases"]
    for i, case in enumerate(cases):
        name, kind = case["name"], TYPES[case["method"]]
        control = CUT_TWICE if i % 2 else UNCUT
        request = (vectors / "requests" / f"{name}.bin").read_bytes()
        (output / f"request-{name}").write_bytes(
            request + control + bytes([kind]))
        if "tensors" in case:
            (output / f"response-{name}").write_bytes(
                response(case["tensors"]) + control + bytes([RESPONSE + kind]))


main()

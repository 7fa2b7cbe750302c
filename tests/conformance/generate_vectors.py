#!/usr/bin/python3 -B
"""Writes the conformance vectors: vectors/manifest.json and vectors/requests/.

  generate_vectors.py          writes them
  generate_vectors.py --check  compares them with what would be written, and
                               exits with 1 where they differ

README.md says what the files mean. The same bytes come out on every machine:
nothing depends on a random generator or on the floating point of a library
(mpmath rounds every operation correctly).
"""

import argparse
import fractions
import json
import math
import pathlib
import sys

from mpmath import mp

from accepted_cases import accepted
from rejected_cases import rejected

VECTORS = pathlib.Path(__file__).parent / "vectors"


def to_json_number(value):
    """The nearest float64 number; what JSON has no number for, as a string."""
    if mp.isnan(value):
        return "NaN"
    if mp.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    # mpmath's own conversion truncates; that of a fraction rounds to nearest.
    mantissa, exponent = abs(value).man_exp
    number = float(mantissa * fractions.Fraction(2) ** exponent)
    if value < 0:
        number = -number
    assert math.isfinite(number)
    return number


def accepted_entry(name, method, outputs):
    tensors = {}
    for path, output in outputs.items():
        tensors[path] = {
            "dtype": output.dtype,
            "shape": output.shape,
            "values": [to_json_number(value) for value in output.values],
            "bounds": [to_json_number(bound) for bound in output.bounds],
        }
    return {"name": name, "method": method, "tensors": tensors}


def rejected_entry(rejection):
    return {
        "name": rejection.name,
        "method": rejection.method,
        "code": rejection.code,
        "message_prefix": rejection.prefix,
        "message_parts": list(rejection.parts),
    }


def vectors():
    """Contents by path, relative to VECTORS."""
    entries, files = [], {}

    def add(entry, request):
        path = f"requests/{entry['name']}.bin"
        assert path not in files, path
        files[path] = request
        entries.append(entry)

    for name, method, request, outputs in accepted():
        add(accepted_entry(name, method, outputs), request)
    for rejection in rejected():
        add(rejected_entry(rejection), rejection.request)
    # One case a line, so that a change shows which cases it touches.
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    files["manifest.json"] = f'{{"cases": [\n{lines}\n]}}\n'.encode()
    return files


def differences(files):
    """What is wrong with the files on disk, one line each."""
    on_disk = {str(path.relative_to(VECTORS)): path.read_bytes()
               for path in VECTORS.rglob("*") if path.is_file()}
    problems = [f"{path}: missing" for path in sorted(files.keys() - on_disk)]
    problems += [f"{path}: not generated" for path in
                 sorted(on_disk.keys() - files)]
    problems += [f"{path}: differs" for path in
                 sorted(files.keys() & on_disk) if files[path] != on_disk[path]]
    return problems


def write(files):
    for path in VECTORS.rglob("*.bin"):
        path.unlink()
    for path, contents in files.items():
        (VECTORS / path).parent.mkdir(parents=True, exist_ok=True)
        (VECTORS / path).write_bytes(contents)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true",
                        help="compare instead of writing")
    arguments = parser.parse_args()
    files = vectors()
    if not arguments.check:
        write(files)
        print(f"wrote {len(files)} files, "
              f"{sum(map(len, files.values()))} bytes")
        return 0
    problems = differences(files)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("run tests/conformance/generate_vectors.py and look at the change",
              file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

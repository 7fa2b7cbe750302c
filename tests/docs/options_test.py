"""Compares the options that docs/operating.md lists with those of the program.

  options_test.py GROUPNORM_SERVER
"""

import pathlib
import re
import subprocess
import sys

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "operating.md"
# What --help says of them is all that there is to say.
UNLISTED = {"--help", "--version", "--config", "--check-config", "--print-config"}


def of_the_program(server):
    """Flag -> default, empty where it has none."""
    text = subprocess.run([server, "--help"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    flags = re.findall(r"^  (--[a-z-]+)(?: [A-Z]+(?:=(\S+))?)?", text, re.MULTILINE)
    return {flag: default for flag, default in flags if flag not in UNLISTED}


def of_the_document():
    """Flag -> default, as in 256MiB; every row of the tables of options."""
    rows = re.findall(r"^\| `(--[a-z-]+)` \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    flags = [flag for flag, _ in rows]
    assert len(flags) == len(set(flags)), f"an option stands twice: {flags}"
    return {flag: default.replace("`", "") for flag, default in rows}


def agree(program, document):
    if program in ("0", ""):  # 0 is chosen at the start; a switch is off.
        return document and not document[0].isdigit()
    return document.replace(" ", "") == program


def main():
    program, document = of_the_program(sys.argv[1]), of_the_document()
    assert len(program) > 10, f"--help was not understood: {program}"
    faults = [f"{flag}: {program.get(flag)!r} by --help, {document.get(flag)!r} in {DOCUMENT.name}"
              for flag in sorted(program.keys() | document.keys())
              if flag not in program or flag not in document
              or not agree(program[flag], document[flag])]
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(program)} options agree")


if __name__ == "__main__":
    main()

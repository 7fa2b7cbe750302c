"""Makes a source file of the C++ that a document shows.

  snippet.py DOCUMENT SOURCE
"""

import pathlib
import re
import sys


def main():
    blocks = re.findall(r"(?ms)^```cpp\n(.*?)^```$", pathlib.Path(sys.argv[1]).read_text())
    if not blocks:
        sys.exit(f"{sys.argv[1]}: no C++, expected a block of it")
    source = ""
    for number, block in enumerate(blocks):
        includes = re.findall(r"(?m)^#include .*\n", block)
        statements = re.sub(r"(?m)^#include .*\n", "", block)
        source += "".join(includes) + f"void Snippet{number}() {{\n{statements}}}\n"
    pathlib.Path(sys.argv[2]).write_text(source)


if __name__ == "__main__":
    main()

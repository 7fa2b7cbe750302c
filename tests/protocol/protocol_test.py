"""The bytes in docs/protocol.md against those of a live server.

  python3 -B tests/protocol/protocol_test.py SERVER_PROGRAM           compares
  python3 -B tests/protocol/protocol_test.py SERVER_PROGRAM --write   writes them
"""

import pathlib
import struct
import subprocess
import sys

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/conformance"))
import wire  # noqa: E402: found through the line above.

DOCUMENT = ROOT / "docs/protocol.md"
BEGIN, END = "<!-- bytes: begin -->\n", "<!-- bytes: end -->\n"

TENSOR = {1: ("dtype", {1: "DATA_TYPE_FLOAT32", 2: "DATA_TYPE_FLOAT64"}),
          2: ("shape", "varints"), 15: ("data", "elements")}
CONFIG = {1: ("num_groups", "varint")}
STATISTICS = {1: ("mean", TENSOR), 2: ("rstd", TENSOR)}
REQUEST = {1: ("config", CONFIG), 15: ("input", TENSOR)}
RESPONSE = {1: ("statistics", STATISTICS), 15: ("output", TENSOR)}
VALUES_A_LINE = 2


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def line(depth, data, text):
    return f"{'  ' * depth + data.hex(' '):50} {'  ' * depth}{text}".rstrip()


def is_message(kind):
    return isinstance(kind, dict) and not all(
        isinstance(value, str) for value in kind.values())


def element_lines(depth, data, dtype):
    letter, size = {1: ("f", 4), 2: ("d", 8)}[dtype]
    step = VALUES_A_LINE * size
    for at in range(0, len(data), step):
        part = data[at:at + step]
        values = struct.unpack(f"<{len(part) // size}{letter}", part)
        yield line(depth, part, ", ".join(f"{value:.9g}" for value in values))


def lines(data, fields, depth=0):
    """A line for each field of a message."""
    at, dtype = 0, None
    while at < len(data):
        start = at
        tag, at = read_varint(data, at)
        name, kind = fields[tag >> 3]
        number, at = read_varint(data, at)
        if tag & 7 == 0:
            if isinstance(kind, dict):
                dtype = number
                number = kind[number]
            yield line(depth, data[start:at], f"{name}: {number}")
            continue
        content = data[at:at + number]
        if kind == "varints":
            extents, place = [], 0
            while place < len(content):
                extent, place = read_varint(content, place)
                extents.append(extent)
            yield line(depth, data[start:at + number], f"{name}: {extents}")
        else:
            yield line(depth, data[start:at], f"{name}, {number} bytes:")
            yield from (lines(content, kind, depth + 1) if is_message(kind) else
                        element_lines(depth + 1, content, dtype))
        at += number


def call(address, request):
    with grpc.insecure_channel(address) as channel:
        return channel.unary_unary("/groupnorm.v1.GroupNormService/Forward")(request)


def block(title, message, fields):
    prefix = b"\0" + struct.pack(">I", len(message))
    return "\n".join([f"{title}:", "", "```",
                      line(0, prefix, f"not compressed, {len(message)} bytes follow"),
                      *lines(message, fields), "```", ""])


def main():
    write = sys.argv[-1] == "--write"
    request = wire.Request(num_groups=2, input=wire.Tensor(
        1, [1, 2, 2], struct.pack("<4f", 1, 2, 3, 5))).encode("Forward")
    server = subprocess.Popen(
        [sys.argv[1], "--listen=127.0.0.1:0", "--log-level=error", "--drain-delay=0s"],
        stdout=subprocess.PIPE, text=True)
    try:
        response = call(server.stdout.readline().split()[-1], request)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    text = "\n".join([block("The request", request, REQUEST),
                      block("Its response", response, RESPONSE)])
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    present, _, after = rest.partition(END)
    if write:
        DOCUMENT.write_text(before + BEGIN + "\n" + text + "\n" + END + after)
    elif present.strip() != text.strip():
        sys.exit(f"{DOCUMENT} shows other bytes than a server; write them anew with "
                 f"{sys.argv[0]} SERVER_PROGRAM --write. Now they are:\n\n{text}")


if __name__ == "__main__":
    main()

"""The call of docs/protocol.md that needs no stub, and its answer.

  python3 -B tests/protocol/curl_test.py SERVER_PROGRAM

Exits with 77 where buf, which makes the call, is not to be had.
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/protocol.md"
EXIT_SKIPPED = 77
ADDRESS = "127.0.0.1:50051"


def main():
    shown = re.search(r"(?ms)^```console\n\$ (buf curl .*?[^\\])\n(\{.*?)^```$",
                      DOCUMENT.read_text())
    if shown is None or ADDRESS not in shown[1]:
        sys.exit(f"{DOCUMENT}: no call with buf to {ADDRESS} and its answer")
    install = subprocess.run([ROOT / "scripts/install-buf.sh"], stdout=subprocess.PIPE,
                             text=True)
    if install.returncode != 0:
        return install.returncode
    server = subprocess.Popen(
        [sys.argv[1], "--listen=127.0.0.1:0", "--log-level=error", "--drain-delay=0s"],
        stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[-1]
        command = shlex.split(shown[1].replace(ADDRESS, address).replace("\\\n", " "))
        done = subprocess.run([install.stdout.strip(), *command[1:]], timeout=60, text=True,
                              capture_output=True)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    if done.returncode != 0:
        sys.exit(f"{shown[1]}\nfails: {done.stderr[-1000:]}")
    # White space is buf's own affair.
    if json.loads(done.stdout) != json.loads(shown[2]):
        sys.exit(f"{DOCUMENT} shows another answer than\n{done.stdout}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs what README.md shows being run, and compares what is printed.

  python3 -B tests/docs/readme_test.py GROUPNORM GROUPNORM_SERVER

A transcript is a block with commands behind `$ `, each followed by its output. A
command ends with 0, unless what is shown of it is a failure of `groupnorm`.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPT = "$ "
READY = "groupnorm-server listening on "
FAILURE = "groupnorm: "

# All that may differ from machine to machine and from run to run. The port is
# not among it: its number is known once the server listens.
VARYING = [
    (re.compile(r"(?m)^(uptime +)\d+s$"), r"\1<time>"),
    (re.compile(r"(?m)^(workers +)\d+$"), r"\1<number>"),
    (re.compile(r"\b\d+ workers?,"), "<number> workers,"),
    (re.compile(r"\b(AVX-512|AVX2|portable)$", re.MULTILINE), "<target>"),
]


def blocks_of(text):
    """What is between the fences, each with the word behind the first of them."""
    block = None
    for line in text.splitlines(keepends=True):
        if not line.startswith("```"):
            if block is not None:
                block += line
        elif block is None:
            word, block = line[3:].strip(), ""
        else:
            if line.rstrip() != "```":
                sys.exit(f"README.md: {line.rstrip()} within a block")
            yield word, block
            block = None
    if block is not None:
        sys.exit("README.md: its last block has no end")


def transcripts(text):
    """The commands of each block, with the output that it shows of each."""
    for word, block in blocks_of(text):
        if word not in ("", "console") or not block.startswith(PROMPT):
            continue
        steps, continued = [], False
        for line in block.splitlines(keepends=True):
            if line.startswith(PROMPT):
                steps.append([line[len(PROMPT):], ""])
            elif continued:
                steps[-1][0] += line
            else:
                steps[-1][1] += line
            continued = (continued or line.startswith(PROMPT)) and line.endswith("\\\n")
        yield steps


def comparable(output):
    for pattern, replacement in VARYING:
        output = pattern.sub(replacement, output)
    return output


class Session:
    """A shell's folder and variables, and the server that was started in it."""

    def __init__(self, folder, cli, server):
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        # The interpreter that runs this has numpy and Pillow, which the examples want.
        for name, program in (("groupnorm", cli), ("groupnorm-server", server),
                              ("python3", sys.executable)):
            (programs / name).symlink_to(os.path.abspath(program))
        (folder / "examples").symlink_to(ROOT / "examples")
        self.environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}",
                                         "LC_ALL": "C.UTF-8"}
        self.environment.pop("GROUPNORM_SERVER", None)
        self.server = None
        self.addresses = []  # The README's, and the real one.

    def run(self, command, shown):
        """What the command prints, with the README's address, and its exit code."""
        if command.startswith("groupnorm-server "):
            return self.start(command, shown)
        if self.addresses:
            command = command.replace(*self.addresses)
        if variable := re.fullmatch(r"export (\w+)=(\S+)\n", command):
            self.environment[variable[1]] = variable[2]
            return "", 0
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, text=True,
                              env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=200)
        printed = done.stdout.replace(*self.addresses[::-1]) if self.addresses else done.stdout
        return printed, done.returncode

    def start(self, command, shown):
        self.server = subprocess.Popen(
            ["bash", "-c", "exec " + command], cwd=self.folder, env=self.environment,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        line = self.server.stdout.readline()
        if not line.startswith(READY) or not shown.startswith(READY):
            return line, self.end()
        self.addresses = [shown[len(READY):].strip(), line[len(READY):].strip()]
        return line.replace(*self.addresses[::-1]), 0

    def end(self):
        """Ends the server, if there is one; its exit code."""
        if self.server is None:
            return 0
        self.server.terminate()
        self.server.communicate(timeout=60)
        return self.server.returncode


def check_changes_are_seen(steps):
    """A line of the README that is changed, added or missing is another text."""
    for _, shown in steps:
        lines = shown.splitlines(keepends=True)
        for at, line in enumerate(lines):
            for other in ([], [line, line], [line.rstrip("\n") + "x\n"]):
                if comparable("".join(lines[:at] + other + lines[at + 1:])) == comparable(shown):
                    sys.exit(f"a change of this line is not seen: {line}")


def check_transcripts_are_seen(text, steps):
    """Neither a block nor a command drops out of the test."""
    commands = sum(line.startswith(PROMPT) for line in text.splitlines())
    if len(steps) != commands:
        sys.exit(f"README.md: {len(steps)} commands in transcripts, expected {commands}, the "
                 f"lines that begin with '{PROMPT}'")
    blocks = list(transcripts("```cpp\nx\n```\n\n```\n$ a\n```\n$ b\n```console\n$ c\nd\n```\n"))
    if blocks != [[["a\n", ""]], [["c\n", "d\n"]]]:
        sys.exit(f"blocks are not told from what is between them: {blocks}")


def main():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = list(transcripts(text))
    # The page begins with what its walk-through comes to.
    steps = [step for block in blocks[1:] + blocks[:1] for step in block]
    check_transcripts_are_seen(text, steps)
    check_changes_are_seen(steps)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        session = Session(pathlib.Path(folder), *sys.argv[1:])
        try:
            for command, shown in steps:
                printed, code = session.run(command, shown)
                if comparable(printed) != comparable(shown):
                    failed = True
                    print(f"$ {command}README.md shows:\n{shown}It prints:\n{printed}")
                if (code != 0) != shown.startswith(FAILURE):
                    failed = True
                    print(f"$ {command}README.md shows:\n{shown}It ends with {code}")
        finally:
            code = session.end()
    if failed or code != 0:
        sys.exit(f"README.md shows something else than the programs do; the server ended with "
                 f"{code}")
    print(f"README.md shows what its {len(steps)} commands print")


if __name__ == "__main__":
    main()

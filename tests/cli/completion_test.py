"""What `groupnorm completion` prints, in the shells that it is for."""

import os
import pathlib
import pty
import subprocess
import unittest

from cli_case import CLI, OK, USAGE, CliTest, read_terminal

# What is typed after `groupnorm `, and all that it may become.
CASES = [
    ("b", ["backward", "bench"]),
    ("forw", ["forward"]),
    ("--vers", ["--version"]),
    ("completion ", ["bash", "fish", "zsh"]),
    ("completion z", ["zsh"]),
    ("forward --num", ["--num-groups"]),
    ("status --num", []),
    ("status --wa", ["--watch"]),
    ("forward --layout ", ["channels-first", "channels-last"]),
    ("forward x.npy --layout channels-l", ["channels-last"]),
    ("forward --layout=channels-l", ["channels-last"]),
    ("forward --dtype ", ["bfloat16"]),
    ("bench --dtype bf", ["bfloat16"]),
    ("bench --operation ", ["backward", "forward"]),
    ("bench --operation f", ["forward"]),
    # The name of a command as a value.
    ("bench --operation forward --we", []),
    ("bench --operation forward --dur", ["--duration"]),
    # Files, of which there is one.
    ("forward ex", ["example.npy"]),
    ("forward x.npy --weight ex", ["example.npy"]),
    ("forward x.npy --output=ex", ["example.npy"]),
    ("forward x.npy -o ex", ["example.npy"]),
    ("backward x.npy ex", ["example.npy"]),
]
ZSH_START = r"""
autoload -Uz compinit && compinit -D -u
source <("$GROUPNORM_CLI" completion zsh)
tell() { zle complete-word; print -rn -- $'\x01'"$BUFFER"$'\x02'; BUFFER= }
zle -N tell && bindkey '^X' tell
zle-line-init() { print -rn -- $'\x03' }
zle -N zle-line-init
"""


class Completion(CliTest):
    def setUp(self):
        super().setUp()
        pathlib.Path(self.path("example.npy")).touch()

    def run_shell(self, *command):
        environment = os.environ | {"HOME": str(self.temporary), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300,
                              cwd=self.folder, env=environment)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        return done.stdout

    def test_in_bash(self):
        # As bash itself would: `=` is a word, and where nothing is found, files are.
        script = ('source <("$0" completion bash); complete -p groupnorm; COMP_WORDS=("$@"); '
                  'COMP_CWORD=$(($# - 1)); _groupnorm; echo "${COMPREPLY[@]}"')
        for typed, expected in CASES:
            with self.subTest(typed=typed):
                words = ["groupnorm", *typed.replace("=", " = ").split(" ")]
                options, found = self.run_shell("bash", "-c", script, CLI, *words).splitlines()
                self.assertEqual(options, "complete -o default -F _groupnorm groupnorm")
                if expected == ["example.npy"]:
                    expected = []
                self.assertEqual(sorted(found.split()), expected)

    def test_in_fish(self):
        script = "$argv[1] completion fish | source; complete -C \"groupnorm $argv[2]\""
        for typed, expected in CASES:
            with self.subTest(typed=typed):
                lines = self.run_shell("fish", "--no-config", "-c", script, CLI,
                                       typed).splitlines()
                found = sorted(line.split("\t")[0].split("=")[-1] for line in lines)
                self.assertEqual(found, expected)

    def test_in_zsh(self):
        (self.temporary / ".zshrc").write_text(ZSH_START)
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(self.folder)
            os.execvpe("zsh", ["zsh", "--no-globalrcs", "-i"],
                       os.environ | {"ZDOTDIR": str(self.temporary), "TERM": "dumb",
                                     "LC_ALL": "C.UTF-8"})
        try:
            self.assertIn(b"\x03", read_terminal(terminal, until=b"\x03"))
            for typed, expected in CASES:
                with self.subTest(typed=typed):
                    os.write(terminal, f"groupnorm {typed}\x18".encode())
                    shown = read_terminal(terminal, until=b"\x02").decode()
                    # What is behind that is the line drawn anew.
                    found = shown.rpartition("\x01")[2].partition("\x02")[0]
                    start = typed[:max(typed.rfind(" "), typed.rfind("=")) + 1]
                    # Of several what they begin with, of one all of it.
                    common = os.path.commonprefix(expected) or typed[len(start):]
                    self.assertEqual(found.rstrip(" ="), f"groupnorm {start}{common}".rstrip(" ="))
        finally:
            os.close(terminal)
            os.waitpid(process, 0)

    def test_of_the_zsh_script_as_a_file_of_the_search_path(self):
        self.assertTrue(self.run_cli("completion", "zsh").stdout.startswith("#compdef groupnorm\n"))

    def test_knows_the_shells(self):
        self.fail_with(USAGE, 'SHELL: "csh", expected one of bash, zsh, fish', "completion",
                       "csh")


if __name__ == "__main__":
    unittest.main()

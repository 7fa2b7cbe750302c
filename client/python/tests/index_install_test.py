"""Installs the package as a user does, from an index, and runs the client there.

  python3 -B tests/index_install_test.py SERVER_PROGRAM

Exits with 77 where no index is reached.
"""

import pathlib
import subprocess
import sys
import tempfile

from checkout import copy_sources

EXIT_SKIPPED = 77
CLIENT_TEST = pathlib.Path(__file__).with_name("client_test.py")


def run(*command):
    print("+", *command, flush=True)
    subprocess.run(command, check=True)


def run_client_test(server, environment, flags, packages):
    run(sys.executable, "-m", "venv", *flags, environment)
    run(environment / "bin/pip", "--disable-pip-version-check", "install", "--quiet",
        *packages)
    run(environment / "bin/python", "-B", CLIENT_TEST, server)


def why_no_index(pip, folder):
    """None where one is reached that has the generator."""
    probe = subprocess.run(
        # What broke a connection is said before it is tried again only.
        [*pip, "download", "--quiet", "--no-deps", "--timeout=15", "--retries=1",
         f"--dest={folder}", "grpcio-tools"], text=True, capture_output=True)
    if probe.returncode == 0:
        return None
    return probe.stderr.strip() or f"pip exits with {probe.returncode}"


def main():
    server = sys.argv[1]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        reason = why_no_index(pip, folder / "probe")
        if reason is not None:
            print(f"skipped, no index with grpcio-tools is reached:\n{reason}")
            return EXIT_SKIPPED
        run(*pip, "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}",
            copy_sources(folder / "sources"))
        wheel, = folder.glob("groupnorm-*.whl")
        run_client_test(server, folder / "empty", [], [wheel, "ml_dtypes"])
        # The packages of the system may be older than the generator that pip fetched.
        run_client_test(server, folder / "system", ["--system-site-packages"], [wheel])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))

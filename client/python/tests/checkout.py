"""The sources of the package, for a test that builds it."""

import pathlib
import shutil

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]


def copy_sources(folder):
    """Returns the folder to give to pip, which leaves its traces beside what it
    builds."""
    copy = pathlib.Path(folder, "client", "python")
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns(
        "build", "*.egg-info", "__pycache__"))
    shutil.copytree(ROOT / "proto", pathlib.Path(folder, "proto"))
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    return copy

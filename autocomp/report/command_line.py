"""Command lines that can be pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def command(*words: str | os.PathLike[str]) -> str:
    """A command line that works where this process was started, quoted for the shell."""
    return " ".join([*_program(), *(shlex.quote(str(word)) for word in words)])


def _program() -> list[str]:
    name = Path(sys.argv[0])
    found = shutil.which("autocomp")
    if name.stem == "autocomp" and found and Path(found).resolve() == name.resolve():
        return ["autocomp"]
    if name.stem == "autocomp" and name.is_file():
        return [shlex.quote(str(name))]
    return ["autocomp"] if found else [shlex.quote(sys.executable), "-m", "autocomp"]

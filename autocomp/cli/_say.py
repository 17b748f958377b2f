"""How results are written for people: sizes, times, tables, and commands that can be pasted."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from autocomp import strict_json
from autocomp.environment import command as command

PATIENCE_S = 1.0
"""What takes longer is told."""


def note(text: str) -> None:
    """A message for the person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def patient() -> Callable[[str], None]:
    """Says what is done on stderr, at most once a second, and nothing of what takes less."""
    last = monotonic()

    def tell(words: str) -> None:
        nonlocal last
        if monotonic() - last >= PATIENCE_S:
            last = monotonic()
            note(f"{words} …")

    return tell


def print_json(data: Any) -> None:
    """A result for a script, on stdout."""
    print(strict_json.dumps(data, indent=2))


def short_path(path: str | Path) -> str:
    """A path as one would type it from here."""
    full, here = Path(path).resolve(), Path.cwd()
    return str(full.relative_to(here)) if full.is_relative_to(here) and full != here else str(full)


def size(count: float | None) -> str:
    """Bytes as `431 kB` or `22.9 MB` (decimal)."""
    if count is None:
        return "–"
    return f"{count / 1e3:.0f} kB" if count < 999_500 else f"{_three(count / 1e6)} MB"


def millis(value: float | None, predicted: bool = False, disturbed: bool = False) -> str:
    """Milliseconds with three digits, `1.92 ms`.

    Of a device on which nothing ran, `~1.92 ms predicted`; where something else ran meanwhile, `1.92 ms ! disturbed`.
    """
    if value is None:
        return "–"
    return f"~{_three(value)} ms predicted" if predicted else f"{_three(value)} ms{' ! disturbed' if disturbed else ''}"


def times(value: float | None, predicted: bool = False, disturbed: bool = False) -> str:
    """A multiple of the teacher, `×12.4`; of predicted times `~×12.4`, of disturbed ones `×12.4 !`."""
    return "–" if value is None else f"{'~' if predicted else ''}×{_three(value)}{' !' if disturbed else ''}"


DISTURBED = "! something else ran each time that it was timed: do not trust it, and time it again when nothing does"


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"


def duration(seconds: float | None) -> str:
    """`45 s`, `7 min 05 s`, `2 h 03 min`."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )


def amounts(spent: Mapping[str, float], only: Iterable[str] | None = None) -> str:
    """A ledger in words: `7 min 05 s of clock, 31 trials`."""
    kinds = {"wall_s": "of clock", "cpu_s": "of CPU", "gpu_s": "of GPU"}
    wanted = list(spent) if only is None else list(only)
    parts = [f"{duration(spent[k])} {words}" for k, words in kinds.items() if k in wanted]
    return ", ".join([*parts, *([f"{spent['trials']:.0f} trials"] if "trials" in wanted else [])])


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Iterable[str] = ()) -> str:
    """Columns in plain text; those named in `left` are aligned left. Cut to the terminal's width where there is one."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lefts = [name in set(left) for name in head]
    lines = [
        "  ".join(
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(row, widths, lefts, strict=True)
        )
        for row in [head, *rows]
    ]
    return "\n".join(_fit(line.rstrip()) for line in lines)


def _fit(line: str) -> str:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    return line if not width or len(line) <= width else line[: max(1, width - 1)] + "…"

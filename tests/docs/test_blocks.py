"""Whatever the documentation shows is executed: every ```python and ```console block of README.md and docs/.

The blocks of one file run in order in one empty folder. In a console block the lines that start with `$ ` are run; what
follows them is shown output and is not compared. An HTML comment directly above a block changes that:
`<!-- slow -->` leaves it to `make test-slow`, `<!-- not run: reason -->` exempts it.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in FILES if page.is_file()]
RUN = {"python", "console"}
#: Fences that only show something. Shell commands belong into a console block, so that they are run.
SHOWN = {"", "text", "yaml", "json", "toml", "html", "csv", "mermaid"}
MOST_EXEMPT = 8
FENCE = re.compile(r"(?:<!-- (?P<mark>[^\n]*?) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it starts, its language, its text, and what the comment above it says."""

    place: str
    language: str
    text: str
    mark: str

    @property
    def exempt(self) -> bool:
        """Whether the comment above says `not run`."""
        return self.mark.startswith("not run")

    def command(self, folder: Path) -> list[str]:
        """What runs the block: this Python on a script in the folder, or bash for the commands of a console block.

        A script, as people save it, and not `-c`: only a script can be run again by the processes that it starts.
        """
        if self.language == "python":
            script = folder / f"block_{self.place.rpartition(':')[2]}.py"
            script.write_text(self.text, encoding="utf-8")
            return [sys.executable, str(script)]
        return ["bash", "-euo", "pipefail", "-c", "\n".join(commands(self.text))]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text, found = page.read_text(encoding="utf-8"), []
    for match in FENCE.finditer(text):
        place = f"{page.relative_to(ROOT)}:{text[: match.start('language')].count(chr(10)) + 1}"
        found.append(Block(place, match["language"], match["text"], match["mark"] or ""))
    return found


def commands(text: str) -> list[str]:
    r"""The commands of a console block: lines after `$ `, with what a trailing `\` continues."""
    found, going_on = [], False
    for line in text.splitlines():
        if line.startswith("$ ") or going_on:
            found.append(line.removeprefix("$ "))
            going_on = line.endswith("\\")
    return found


def run_all(chosen: list[Block], folder: Path) -> None:
    """Run blocks one after the other in a folder, with this environment's programs first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    for block in chosen:
        done = subprocess.run(
            block.command(folder), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.place} exits {done.returncode}\n{done.stdout}\n{done.stderr}"


def runnable(page: Path) -> list[Block]:
    """The blocks of a page that some test runs."""
    return [block for block in blocks(page) if block.language in RUN and not block.exempt]


def name(page: Path) -> str:
    """A page's name in a test's name."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_quick_blocks_run(page, tmp_path):
    run_all([block for block in runnable(page) if block.mark != "slow"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.mark == "slow" for b in runnable(p))], ids=name)
def test_all_blocks_run(page, tmp_path):
    run_all(runnable(page), tmp_path)


def test_every_fence_is_run_or_only_shows():
    unknown = [b.place for page in PAGES for b in blocks(page) if b.language not in RUN | SHOWN]
    assert unknown == [], "write shell commands as ```console with `$ ` before each"
    assert [b.place for page in PAGES for b in runnable(page) if b.language == "console" and not commands(b.text)] == []
    fences = sum(line.startswith("```") for page in PAGES for line in page.read_text(encoding="utf-8").splitlines())
    assert fences == 2 * sum(len(blocks(page)) for page in PAGES), "a fence is not closed, or is indented"


def test_exemptions_are_few_and_say_why():
    marked = [b for page in PAGES for b in blocks(page) if b.exempt]
    assert [b.place for b in marked if not re.match(r"not run: \w.{9,}", b.mark)] == []
    assert len(marked) <= MOST_EXEMPT, [b.place for b in marked]


def test_the_reader_finds_blocks_and_marks(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# x\n\n```python\n1 / 0\n```\n\n<!-- slow -->\n```console\n$ echo a \\\n    b\na b\n$ false\n```\n\n"
        "<!-- not run: needs a cluster -->\n```console\n$ ray up\n```\n",
        encoding="utf-8",
    )
    first, second, third = blocks(page)
    assert (first.place, first.mark, second.mark, third.exempt) == ("page.md:3", "", "slow", True)
    assert commands(second.text) == ["echo a \\", "    b", "false"]
    for block in (first, second):
        with pytest.raises(AssertionError, match=r"page\.md"):
            run_all([block], tmp_path)


def test_python_blocks_run_as_scripts_do(tmp_path):
    """`multiprocessing` runs a script that has a file again in each process it spawns, and one given by `-c` never."""
    text = "from concurrent.futures import ProcessPoolExecutor as Pool\nimport multiprocessing\n"
    text += "print(Pool(1, multiprocessing.get_context('spawn')).submit(abs, -1).result())\n"
    with pytest.raises(AssertionError, match=r"page\.md:9 exits 1"):
        run_all([Block("page.md:9", "python", text, "")], tmp_path)

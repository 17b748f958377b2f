"""Every command that help or documentation shows is parsed by the real parser."""

import shlex
from pathlib import Path

import pytest

from autocomp import cli
from autocomp.errors import AutocompError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def all_verbs(verbs=None):
    """Every verb module, those of a verb of verbs too."""
    for module in (cli.verbs() if verbs is None else verbs).values():
        yield module
        if hasattr(module, "__path__"):
            yield from all_verbs(cli.verbs(module))


EXAMPLES = [line for module in all_verbs() for line in module.EXAMPLES]
SHOWN = sorted({
    line.removeprefix("$ ").split(" | ")[0].split(" > ")[0].split("  #")[0]
    for page in PAGES if page.is_file()
    for line in page.read_text(encoding="utf-8").splitlines()
    if line.startswith("$ autocomp ") and not line.endswith("\\")
})  # fmt: skip


@pytest.mark.parametrize("line", [*EXAMPLES, *SHOWN])
def test_a_shown_command_is_parsed(line):
    program, *arguments = shlex.split(line, comments=True)
    assert program == "autocomp"
    if "--help" not in arguments:
        cli.build_parser().parse_args(arguments)


def test_every_verb_gives_examples():
    parser = cli.build_parser()
    known = next(action.choices for action in parser._actions if isinstance(action.choices, dict))
    assert {shlex.split(line)[1] for line in EXAMPLES} == set(known)
    assert all(module.EXAMPLES and module.SUMMARY for module in all_verbs())
    assert "autocomp device probe" in EXAMPLES, "examples of a verb of verbs are collected"


def test_a_wrong_command_is_refused():
    with pytest.raises((SystemExit, AutocompError)):
        cli.build_parser().parse_args(["serach"])

"""The README's figures are those of the committed results."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_shows_the_committed_results():
    readme = load("readme")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.block() in text, "run: python benchmarks/readme.py"


def test_members_shown_are_spread_over_all():
    members = [{"id": i} for i in range(20)]
    shown = load("readme").spread(members, 8)
    assert len(shown) == 8 and shown[0] == members[0] and shown[-1] == members[-1]
    assert load("readme").spread(members[:3], 8) == members[:3]

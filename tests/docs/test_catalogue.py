"""The table in each catalogue folder's README and the files beside it say the same, both ways."""

import re
from pathlib import Path

import pytest

from autocomp import catalogue

ROOT = Path(__file__).parents[2]
KINDS = ["search_spaces", "objectives", "studies", "devices"]
ROW = re.compile(r"^\| `(?P<name>[\w/.-]+)` \| (?P<summary>[^|]+?) \|$", re.M)


def table(kind: str) -> dict[str, str]:
    """`{name: summary}` of the rows of a folder's README."""
    text = (ROOT / kind / "README.md").read_text(encoding="utf-8")
    return {row["name"]: row["summary"] for row in ROW.finditer(text)}


@pytest.mark.parametrize("kind", KINDS)
def test_table_and_files_agree(kind):
    files = catalogue.find_all(kind)
    assert table(kind) == {name: str(catalogue.read_yaml(file).get("summary")).strip() for name, file in files.items()}


def test_page_templates_are_listed():
    files = {p.name for p in (ROOT / "dashboards").iterdir() if p.name != "README.md"}
    assert set(table("dashboards")) == files


@pytest.mark.parametrize("kind", [*KINDS, "dashboards"])
def test_a_readme_opens_with_what_the_folder_is_for(kind):
    title, _, sentence = (ROOT / kind / "README.md").read_text(encoding="utf-8").split("\n")[:3]
    assert title == f"# {kind}"
    assert len(sentence) > 40

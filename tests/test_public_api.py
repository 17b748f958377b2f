import subprocess
import sys
from pathlib import Path

import pytest

import autocomp

ROOT = Path(__file__).parents[1]


def in_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_public_names_are_sorted_and_there():
    assert autocomp.__all__ == sorted(autocomp.__all__) == dir(autocomp)
    assert all(getattr(autocomp, name) for name in autocomp.__all__)


def test_a_wrong_name():
    with pytest.raises(AttributeError, match="open_run"):
        autocomp.open  # noqa: B018


@pytest.mark.parametrize("first", ["", "import autocomp.study.run; ", "import autocomp.searchers; "])
def test_search_is_a_plain_function_whatever_was_imported_before(first):
    code = first + "import autocomp\ntry:\n    autocomp.search('nope', out='x')\nexcept Exception as e: print(e)"
    assert in_new_process(code).startswith("no study 'nope'; (")


def test_load_needs_no_yaml_pydantic_or_torch():
    blocked = (
        "import sys\nfor name in ('yaml', 'pydantic', 'torch', 'transformers', 'rich'): sys.modules[name] = None\n"
    )
    code = "import autocomp\ntry:\n    autocomp.load('nowhere')\nexcept autocomp.errors.ArtifactError as e: print(e)"
    assert "nowhere" in in_new_process(blocked + "import autocomp.errors\n" + code)

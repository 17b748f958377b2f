"""One file adds one thing: the files of docs/, put into a folder that is no part of autocomp, make a whole study."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from autocomp.journal import read_lines, read_records
from autocomp.testing.models import wordpiece_tokenizer
from autocomp.testing.studies import write_study

DOCS = Path(__file__).parents[2] / "docs"
GROUPS = {
    "head": ("heads", "smoothed", "head"),
    "architecture": ("architectures", "bag", "architecture"),
    "technique with a hook": ("techniques", "clipping", "technique"),
    "loss": ("training.losses", "closeness", "loss"),
    "measure": ("measures", "operators", "measure"),
    "importer": ("models.importers", "ernie", "importer"),
}
"""What is added: the registry's package in autocomp, the example's name, and the attribute that its file defines."""
SPACE = {
    "techniques": {
        "architecture": {"width": 32},
        "depth": {"placement": "even"},
        "clipping": {"deviations": 2.0},
        "distillation": {"relations": 0.0, "hidden": 0.0, "closeness": 1.0, "learning_rate": 4e-4},
        "linear_bits": {"bits": [4, 8]},
    },
    "start": [{"architecture.kind": "bag"}, {"architecture.kind": "transformer", "depth.layers": 1}],
}


def sources() -> dict[str, str]:
    """The example files of docs/ by name: those blocks whose first line says what they are called."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))
    return dict(re.findall(r"^```python\n# (\w+)\.py\n(.*?)^```$", pages, re.M | re.S))


def rows() -> Iterator[tuple[str, int]]:
    """What each row of the table in docs/architecture.md says: a kind of thing, and how many files it takes."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").split("| one more | files |")[1].split("\n\n")[0]
    for row in text.splitlines()[2:]:
        kind, files = row.strip("| ").split(" | ")[:2]
        yield kind, int(files)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with one file for each kind of thing, and the entry points that name them."""
    folder, known = tmp_path_factory.mktemp("site"), sources()
    info = folder / "additions-1.0.dist-info"
    info.mkdir()
    points = []
    for package, name, attribute in GROUPS.values():
        (folder / f"{name}.py").write_text(known[name], encoding="utf-8")
        points += [f"[autocomp.{package.rpartition('.')[2]}]", f"{name} = {name}:{attribute}"]
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: additions\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(points) + "\n")
    return folder


@pytest.fixture(scope="module")
def autocomp_with(site, tmp_path_factory):
    """The command line in a process of its own, which finds the folder."""
    cache, root = tmp_path_factory.mktemp("cache"), Path(__file__).parents[2]

    def run(*words):
        path = os.pathsep.join([str(site), str(root), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": path, "AUTOCOMP_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "autocomp", *map(str, words)], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_parts, autocomp_with):
    """A study of an added kind of model and answer: two trials, each trained with the added loss and hook."""
    from transformers import ErnieConfig, ErnieModel

    folder = tmp_path_factory.mktemp("additions")
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    ErnieModel(ErnieConfig(vocab_size=400, **sizes)).save_pretrained(folder / "ernie")
    wordpiece_tokenizer(400).save(str(folder / "ernie" / "tokenizer.json"))
    own = folder / "own" / "objectives"
    own.mkdir(parents=True)
    (own / "few_operators.yaml").write_text("summary: fewer operators\nmeasure: operators\ndirection: minimize\n")
    changes = {"model": str(folder / "ernie"), "space": SPACE, "budget": "2trials", "recovery_steps": [20]}
    objectives = ["artifact_size", "task_score", "few_operators"]
    file = write_study(folder / "study", texts=tiny_parts["texts"], objectives=objectives, **changes)
    words = ("--kind", "smoothed", "--include", folder / "own", "--out", folder / "run", "--quiet", "--json")
    summary = json.loads(autocomp_with("search", file, *words))
    return SimpleNamespace(run=folder / "run", summary=summary)


def test_the_table_of_the_architecture_names_each_kind_once():
    assert [kind for kind, _ in rows()] == list(GROUPS)


@pytest.mark.parametrize(("kind", "files"), list(rows()))
def test_each_takes_as_many_files_as_the_table_says(kind, files, site, autocomp_with):
    _, name, _ = GROUPS[kind]
    assert len(list(site.glob(f"{name}*.py"))) == files
    assert name not in {path.stem for path in (DOCS.parent / "autocomp").rglob("*.py")}


@pytest.mark.parametrize("kind", ["heads", "architectures", "techniques", "losses", "measures"])
def test_what_is_added_is_listed(kind, autocomp_with):
    added = {name for package, name, _ in GROUPS.values() if package.endswith(kind)}
    assert added <= {entry["name"] for entry in json.loads(autocomp_with("list", kind, "--json"))}


def test_a_study_is_made_of_all_of_them(study):
    records = list(read_records(study.run / "journal.jsonl"))
    assert {r.status for r in records} == {"complete"}, [r.error for r in records]
    assert study.summary["kind"] == "smoothed"
    kinds = [r.plan.options("architecture")["kind"] for r in records]
    assert set(kinds) == {"bag", "transformer"}
    for record, kind in zip(records, kinds, strict=True):
        has_layers = kind == "transformer"  # which clipping and inner states are for
        assert record.plan.options("clipping") == ({"deviations": 2.0} if has_layers else None)
        assert record.plan.options("distillation")["closeness"] == float(has_layers)
        assert record.measurements["operators"].value > 10
    assert {member["operators"] for member in study.summary["members"]} <= {
        record.measurements["operators"].value for record in records
    }
    [context] = read_lines(study.run / "journal.jsonl", "study")
    assert context["spec"]["model"].endswith("ernie")


def test_its_front_is_shown_and_answers(study, autocomp_with):
    labels = {figure["label"] for figure in json.loads(autocomp_with("show", study.run, "--json"))["figures"]}
    assert "operators" in labels and "operators" in (study.run / "report.html").read_text(encoding="utf-8")
    member = study.summary["members"][0]
    answer = json.loads(autocomp_with("predict", member["path"], "the film was great", "--json"))
    assert answer["label"] in ("negative", "positive")

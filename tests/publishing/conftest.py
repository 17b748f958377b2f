import json

import pytest

from autocomp.cli import main
from autocomp.testing.runs import journal, write_run


@pytest.fixture
def events():
    """A finished run's events; its grids are in the journal, as studies write them."""
    made = journal()
    made[0]["spec"]["objectives"] = ["artifact_size", "latency", "task_score"]
    points = [e["record"]["point"] for e in made if e["event"] == "record"]
    made[0]["knobs"] = {name: sorted({p[name] for p in points}) for name in points[0]}
    return made


@pytest.fixture
def run(tmp_path, events):
    return write_run(tmp_path / "run", events)


@pytest.fixture
def publish(capsys):
    """`publish(RUN, target, …)`: what `autocomp publish --json` says."""

    def called(folder, target, *words):
        status = main(["publish", str(folder), "--to", target, "--json", *map(str, words)])
        said = capsys.readouterr()
        assert status == 0, said.err
        return json.loads(said.out)

    return called


@pytest.fixture
def grow(tmp_path, events):
    """`grow(folder, count)`: a run of which only so many events happened yet; called again, the journal goes on."""

    def grown(count):
        folder = tmp_path / "growing"
        if not folder.exists():
            write_run(folder, events)
        lines = [json.dumps(event) + "\n" for event in events[:count]]
        (folder / "journal.jsonl").write_text("".join(lines))
        return folder

    return grown

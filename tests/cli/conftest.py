import sys
from types import ModuleType

import pytest

from autocomp.cli import main
from autocomp.journal import Journal
from autocomp.journal.events import JobProgressed, event_of
from autocomp.testing.runs import journal, write_run


@pytest.fixture
def finished(tmp_path):
    return write_run(tmp_path / "run")


@pytest.fixture
def autocomp(capsys):
    """Run a command line in this process: `(status, stdout, stderr)`."""

    def run(*words):
        status = main([str(word) for word in words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


class Study(ModuleType):
    """Stands in for autocomp.study.run: plays a stored journal, and keeps the specs it was given."""

    def __init__(self):
        super().__init__("autocomp.study.run")
        self.specs, self.rays, self.events, self.error = [], [], journal(), None

    def check_study(self, spec):
        self.specs.append(spec)
        return {"model": {"layers": 6}, "labels": ["a", "b"]}

    def run_study(self, spec, out, listen=None, ray=None):
        self.rays.append(ray)
        self.specs.append(spec)
        write_run(out, self.events[:1])
        listen(event_of(self.events[0]))
        return self._play(out, self.events[1:], listen)

    def resume_study(self, out, listen=None, ray=None):
        self.rays.append(ray)
        return self._play(out, [{"event": "resumed"}, *self.events[1:]], listen)

    def _play(self, out, events, listen):
        (out / "front").mkdir(exist_ok=True)
        kept = Journal(out / "journal.jsonl", listen)
        for event in events:
            kept.append(event_of(event))
            listen(JobProgressed(job="t0001", text="recovery step 1/4", fraction=0.25, left_s=4.0))
            if self.error and event["event"] == "candidates":
                raise self.error


@pytest.fixture
def study(monkeypatch):
    module = Study()
    monkeypatch.setitem(sys.modules, "autocomp.study.run", module)
    return module

"""One real finished study for all tests that only look at one: the test process that needs it first makes it."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
from types import SimpleNamespace

import pytest

from autocomp.cli import main
from autocomp.testing.studies import write_bert, write_study, write_texts


def once(folder, make):
    """The folder, in which one process of the test session calls `make(folder)`; the others wait for it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.with_suffix(".done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            folder.with_suffix(".done").touch()
    return folder


def run_command(*words):
    """A command line in this process: `status`, `out`, `err`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return SimpleNamespace(status=status, out=out.getvalue(), err=err.getvalue())


def digests(run):
    """Of a run's files, but for its lock, which whoever asks for it opens."""
    files = [p for p in run.rglob("*") if p.is_file() and p.name != "lock"]
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="session")
def call():
    """`call(*words)`."""
    return run_command


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of all processes of this test session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def tiny_parts(shared):
    """`model` and `texts` as `write_study` wants them."""

    def make(folder):
        write_bert(folder / "bert")
        write_texts(folder / "texts")

    folder = once(shared / "tiny_parts", make)
    return {"model": str(folder / "bert"), "texts": str(folder / "texts")}


@pytest.fixture(scope="session")
def tiny_cache(shared):
    """A stage cache: what one study of the tiny parts has made, the next finds, in whichever process."""
    return shared / "tiny_cache"


@pytest.fixture(scope="session")
def tiny_run(shared, tiny_parts, tiny_cache):
    """The `run` of a study of three trials with a real worker, what `search` said of it, and the `study`'s file.

    A test that would change the run takes a copy.
    """

    def make(folder):
        study = write_study(folder / "study", **tiny_parts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUTOCOMP_CACHE", str(tiny_cache))
            patch.setenv("OMP_NUM_THREADS", "1")
            said = run_command("search", study, "--out", folder / "run", "--quiet", "--json")
        assert said.status == 0, said.err
        (folder / "said.json").write_text(json.dumps({"summary": json.loads(said.out), "err": said.err}))

    folder = once(shared / "tiny_run", make)
    run, said = folder / "run", json.loads((folder / "said.json").read_text())
    before = digests(run)
    yield SimpleNamespace(run=run, study=folder / "study" / "tiny.yaml", **said)
    assert digests(run) == before, "a test changed the run that all tests share"

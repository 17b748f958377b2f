"""A dashboard served for real: uvicorn in a thread, on a free port, with runs whose models are real files."""

import http.client
import json
import socket
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest

from autocomp.artifact.files import save_artifact
from autocomp.artifact.writer import write_model
from autocomp.report.page import template_of
from autocomp.serving.addresses import bind
from autocomp.serving.app import Dashboard
from autocomp.serving.live_runs import open_runs
from autocomp.serving.server import Serving
from autocomp.testing.models import random_student, tiny_shape
from autocomp.testing.runs import journal, write_run

LABELS = ["benign", "injection"]


def save_model(folder, seed=0, pairs=False, exits=()):
    """A tiny random model as a real artifact."""
    student = random_student(tiny_shape(exits=exits), seed, LABELS, pairs)
    weights = {name: tensor.detach().numpy() for name, tensor in student.encoder.state_dict().items()}
    rule = {"exits": {"rule": "probability"}} if exits else {}
    model = write_model(student.encoder.shape, weights, {}, pairs=pairs, **({"exit_threshold": 0.9} if exits else {}))
    save_artifact(
        folder, model, student.tokenizer.to_str(), {"labels": LABELS, "max_length": 24, "pairs": pairs, **rule}
    )
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Real artifacts, made once."""
    made = tmp_path_factory.mktemp("models")
    kinds = {"teacher": {}, "m01": {"seed": 1}, "m02": {"seed": 2, "exits": (1, 2)}, "m03": {"seed": 3, "pairs": True}}
    return {name: save_model(made / name, **options) for name, options in kinds.items()}


def put(models, run):
    """Put the artifacts into a run, as members m01 to m03 and teacher; m04 and on keep stand-in files."""
    for name, folder in models.items():
        target = run / ("teacher" if name == "teacher" else f"front/{name}")
        target.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            (target / file.name).write_bytes(file.read_bytes())
    return run


@pytest.fixture
def finished(tmp_path, models):
    return put(models, write_run(tmp_path / "runs" / "demo"))


@pytest.fixture
def running(tmp_path):
    """A run that has not ended; `append` writes to its journal."""
    return write_run(tmp_path / "runs" / "running", journal(finished=False))


@pytest.fixture
def append():
    """Write an event to a run's journal, as its study does."""

    def write(run, **event):
        with (run / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.time(), **event}) + "\n")

    return write


class Client:
    """Talks to a dashboard as its page does, or as nobody should."""

    def __init__(self, serving, dashboard):
        self.serving, self.dashboard = serving, dashboard
        self.port, self.token = serving.port, serving.token

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        """`(status, headers, body)`; headers are named with underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {"X-Autocomp-Token": self.token, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None and "Content-Type" not in given:
            given["Content-Type"] = "application/json"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {k: v for k, v in given.items() if v is not None})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path, **headers):
        status, _, body = self.ask("GET", path, **headers)
        return status, json.loads(body)

    def post(self, path, body, **headers):
        status, _, body = self.ask("POST", path, body, **headers)
        return status, json.loads(body)

    def raw(self, data, wait=5.0, then=b""):
        """Everything that comes back for some bytes, until the server closes or `wait` seconds passed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as sock:
            sock.sendall(data)
            found = b""
            try:
                if then:
                    sock.sendall(then)
                while chunk := sock.recv(65536):
                    found += chunk
            except (TimeoutError, ConnectionResetError, BrokenPipeError):
                pass
            return found

    @contextmanager
    def updates(self, run=0, rows=None):
        """An open stream: a function that gives the next update."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        query = "" if rows is None else f"?rows={rows}"
        connection.request("GET", f"/api/runs/{run}/updates{query}", headers={"X-Autocomp-Token": self.token})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")

        def following():
            while line := answer.readline():
                if line.startswith(b"data: "):
                    return json.loads(line[6:])
            return None

        try:
            yield following
        finally:
            answer.close()
            connection.close()


@contextmanager
def serving(runs, exports=Path("exports"), host="127.0.0.1", allowed=(), template=None):
    dashboard = Dashboard(open_runs(runs), template or template_of("report"), Path(exports))
    started = Serving(dashboard, bind("127.0.0.1", 0), host, allowed)
    thread = threading.Thread(target=started.run, daemon=True)
    thread.start()
    try:
        yield Client(started, dashboard)
    finally:
        started.stop()
        thread.join(20)
        assert not thread.is_alive(), "".join(traceback.format_stack(sys._current_frames()[thread.ident]))


@pytest.fixture
def served():
    """A context manager that serves some runs."""
    return serving


@pytest.fixture(scope="session")
def client(models, tmp_path_factory):
    """One server for all tests that leave its run and its exports as they are; all of it is under `client.folder`."""
    folder = tmp_path_factory.mktemp("shared")
    with serving([put(models, write_run(folder / "runs" / "demo"))], folder / "exports") as client:
        client.folder = folder
        yield client


@pytest.fixture
def fresh(finished, tmp_path):
    """A server of one's own, of the run `finished`."""
    with serving([finished], tmp_path / "exports") as client:
        yield client


@pytest.fixture
def live(running, tmp_path):
    with serving([running], tmp_path / "exports") as client:
        yield client

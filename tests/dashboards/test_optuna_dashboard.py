"""`optuna-dashboard` opens what `autocomp publish --to optuna` wrote."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from autocomp.cli import main
from autocomp.testing.large_runs import write_large_run


@pytest.fixture
def served(tmp_path, capsys):
    """The address of optuna-dashboard on a run of 40 trials."""
    run = write_large_run(tmp_path / "made_up_run", 40)
    assert main(["publish", str(run), "--to", "optuna", "--json"]) == 0
    program, *words = json.loads(capsys.readouterr().out)["command"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name(program)), *words, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def asked(address):
    """The JSON of an address of a server that may still be starting."""
    for _ in range(300):
        try:
            with urlopen(address) as answer:
                return json.load(answer)
        except URLError:
            time.sleep(0.1)
    raise TimeoutError(address)


@pytest.mark.slow
def test_it_lists_the_study_and_shows_it(served, page):
    (study,) = asked(f"{served}/api/studies")["study_summaries"]
    trials = asked(f"{served}/api/studies/{study['study_id']}?after=0")["trials"]
    assert (study["study_name"], len(trials)) == ("made_up_run", 40)
    page.goto(f"{served}/dashboard")
    page.get_by_text("made_up_run").first.wait_for()

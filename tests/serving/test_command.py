"""`autocomp dashboard`: what it prints, what it refuses before it listens, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from autocomp.cli import dashboard as verb
from autocomp.cli import main
from autocomp.errors import InputError
from autocomp.serving import addresses as places
from autocomp.testing.runs import journal, write_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "demo", journal(finished=False))


@pytest.fixture
def started(tmp_path):
    """Start the command in a process of its own; all of them are ended afterwards."""
    processes = []

    def start(*words):
        line = [sys.executable, "-m", "autocomp", "dashboard", *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(line, cwd=tmp_path, env=environment, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def autocomp(capsys, monkeypatch):
    """The command in this process; one that gets as far as to listen ends at once."""
    from autocomp.serving import server

    served = []
    monkeypatch.setattr(server.Serving, "run", lambda self: served.append(self))

    def run(*words):
        status = main(["dashboard", *map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err, served[-1] if served else None

    return run


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_for_scripts_one_line_and_a_clean_end(started, run, ending):
    process = started(run, "--json")
    found = json.loads(process.stdout.readline())
    assert set(found) == {"url", "port", "token", "pid"} and found["pid"] == process.pid
    assert found["url"] == f"http://127.0.0.1:{found['port']}/?token={found['token']}"
    with urllib.request.urlopen(found["url"]) as answer:
        assert answer.status == 200
    headers = {"X-Autocomp-Token": found["token"]}
    asked = urllib.request.Request(f"http://127.0.0.1:{found['port']}/api/runs/0/updates", headers=headers)
    with urllib.request.urlopen(asked) as stream:
        assert stream.readline().startswith(b"data: ")
        process.send_signal(ending)
        rest = stream.read()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "") and b"data" not in rest
    assert err == "the dashboard has ended\n"


def test_for_people_the_url_and_how_to_end_it(autocomp, run):
    status, out, err, served = autocomp(run, "--no-open")
    assert (status, out) == (0, served.url + "\n") and "Ctrl-C ends it" in err and "Warning" not in err
    assert served.listening.fileno() == -1, "it listens no more"


def test_a_port_in_use(autocomp, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err, served = autocomp(run, "--port", port)
    assert (status, out, served) == (2, "", None)
    assert f"port {port}" in err and "leave --port out" in err


def test_a_port_of_one_s_own(autocomp, run):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert autocomp(run, "--port", port)[3].port == port


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{folder}"], "not a run"),
        (["{run}", "{folder}"], "not a run"),
        (["{run}", "--page", "reprot"], "did you mean 'report'"),
        (["{run}", "--host", "no.such.name.invalid"], "no address"),
        (["{run}", "--host", "203.0.113.7"], "cannot listen"),
        (["{run}", "--allow-host", "http://x/"], "--allow-host takes"),
        (["{run}", "--allow-host", "x:99999"], "--allow-host takes"),
        (["{run}", "--port", "70000"], "port"),
        (["{run}", "--port", "-1"], "port"),
        ([], "RUN"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_printed(autocomp, run, tmp_path, words, said):
    (tmp_path / "folder").mkdir()
    status, out, err, served = autocomp(*(w.format(run=run, folder=tmp_path / "folder") for w in words))
    assert (status, out, served) == (2, "", None) and said in err and "Traceback" not in err


def test_a_template_that_is_wrong_is_found_before_it_listens(autocomp, run, tmp_path):
    (tmp_path / "own" / "dashboards").mkdir(parents=True)
    (tmp_path / "own" / "dashboards" / "mine.html").write_text("<p>{{dta}}</p>", encoding="utf-8")
    status, _, err, served = autocomp(run, "--page", "mine", "--include", tmp_path / "own")
    assert (status, served) == (2, None) and "mine.html" in err and "{{dta}}" in err


def test_a_page_of_one_s_own(autocomp, run, tmp_path):
    (tmp_path / "own" / "dashboards").mkdir(parents=True)
    text = "<script nonce='{{nonce}}'>0</script><p>{{title}}</p>"
    (tmp_path / "own" / "dashboards" / "mine.html").write_text(text, encoding="utf-8")
    served = autocomp(run, "--page", "mine", "--include", tmp_path / "own")[3]
    assert served.dashboard.page("abc").startswith("<script nonce='abc'>0</script><p>")


def test_other_hosts_are_warned_of(autocomp, run, monkeypatch):
    status, out, err, served = autocomp(run, "--host", "0.0.0.0", "--allow-host", "lab.example")
    assert status == 0 and "Anybody who can reach this machine and has the URL" in err and "not encrypted" in err
    assert f"ssh -L {served.port}:127.0.0.1:{served.port}" in err
    assert socket.gethostname() in out and "0.0.0.0" not in out


def test_the_names_of_a_server():
    own = places.hosts("127.0.0.1", 8000, ["Lab-3", "localhost:9000"])
    assert own == {"127.0.0.1:8000", "localhost:8000", "[::1]:8000", "lab-3:8000", "localhost:9000"}
    assert {"127.0.0.1", "localhost:80"} <= places.hosts("127.0.0.1", 80)
    assert f"{socket.gethostname().lower()}:8000" in places.hosts("0.0.0.0", 8000)
    for wrong in ("", "a b", "x:", "x:0", "http://x", "x/y", "*", "x\n"):
        with pytest.raises(InputError, match="--allow-host"):
            places.hosts("127.0.0.1", 8000, [wrong])


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("lab", False),
    ],
)
def test_what_is_loopback(host, inside):
    assert places.is_loopback(host) is inside


def test_the_browser_is_sent_there_without_a_token_on_its_command_line(monkeypatch):
    opened = []

    def open_browser(url):
        opened.append((url, Path(urllib.request.url2pathname(url.removeprefix("file:"))).read_text()))

    monkeypatch.setattr(verb.webbrowser, "open", open_browser)
    monkeypatch.setenv("DISPLAY", ":0")
    with verb._opened("http://127.0.0.1:1/?token=secret", True):
        ((url, page),) = opened
        assert url.startswith("file:") and "secret" not in url
        assert 'content="0;url=http://127.0.0.1:1/?token=secret"' in page
        file = Path(urllib.request.url2pathname(url.removeprefix("file:")))
        assert file.parent.stat().st_mode & 0o077 == 0
    assert not file.exists()


def test_no_browser_without_a_display_or_when_not_wanted(monkeypatch):
    monkeypatch.setattr(verb.webbrowser, "open", lambda url: pytest.fail("opened"))
    monkeypatch.setattr(verb.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with verb._opened("http://127.0.0.1:1/?token=secret", True):
        pass
    monkeypatch.setenv("DISPLAY", ":0")
    with verb._opened("http://127.0.0.1:1/?token=secret", False):
        pass

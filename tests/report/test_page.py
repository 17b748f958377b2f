import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from autocomp.catalogue import shipped
from autocomp.errors import InputError, SpecError, UnknownName
from autocomp.report.page import fill, names_of, page_data, write_report
from autocomp.testing.runs import journal, write_run

SCRIPTS = "\n".join(f.read_text(encoding="utf-8") for f in sorted(shipped("dashboards").glob("*.js")))
EVIL = '</script><script>alert(1)</script><img src=x onerror="alert(2)"> {{plotly}} & <!--'


class Reader(HTMLParser):
    """Elements and the content of script elements by id or position, as a browser splits them."""

    def __init__(self):
        super().__init__()
        self.tags, self.scripts, self.inside, self.addresses, self.title = [], [], False, [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "script"

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data
        elif self.tags[-1:] == ["title"] and not self.title:
            self.title = data


def read(file):
    reader = Reader()
    reader.feed(file.read_text(encoding="utf-8"))
    return reader


def written(runs, file, *args, **more):
    write_report(runs, file, *args, **more)
    return read(file)


def test_one_file_without_network(tmp_path):
    page = written([write_run(tmp_path / "run")], tmp_path / "page.html")
    assert all(a.startswith("#") for a in page.addresses) and "link" not in page.tags
    data, plotly, *scripts = page.scripts
    script = "\n".join(scripts)
    assert len(plotly) > 1_000_000 and "Plotly.react" in script
    assert json.loads(data) == json.loads(json.dumps(page_data([tmp_path / "run"])))
    assert not re.search(r"\{\{\w+", script)


def test_the_data_holds_what_the_page_shows(tmp_path):
    data = page_data([write_run(tmp_path / "run")])["runs"][0]
    assert (data["trials"]["count"], len(data["failures"]), len(data["summary"]["members"])) == (39, 1, 9)
    assert data["trials"]["knobs"]["depth.layers"]["values"][data["trials"]["knobs"]["depth.layers"]["codes"][0]] == 2
    assert data["data"]["notes"] and data["seconds"] > 0


def test_predicted_latencies_are_marked(tmp_path):
    events = journal()
    record = next(e["record"] for e in events if e["event"] == "record")
    record["measurements"]["latency"]["predicted"] = True
    first, *rest = page_data([write_run(tmp_path / "run", events)])["runs"][0]["trials"]["predicted"]
    assert first == 1 and not any(rest)


def test_scripts_mark_predicted_and_disturbed_latencies():
    shown = re.findall(r"millis\((\w+)\.latency\w*(.{0,120})", SCRIPTS, re.S)
    assert len(shown) >= 2
    marks = [
        any(f"{before}{of}.latency_predicted, {of}.latency_disturbed)" in rest for before in (", ", "Mark("))
        for of, rest in shown
    ]
    assert all(marks), [shown[i] for i, mark in enumerate(marks) if not mark]


def test_texts_stay_texts(tmp_path):
    events = journal(task=EVIL)
    events[0]["data"]["labels"] = [EVIL, "b"]
    events[-3]["members"][0]["describe"] = EVIL
    clean = written([write_run(tmp_path / "clean")], tmp_path / "clean.html")
    evil = written([write_run(tmp_path / "evil", events)], tmp_path / "evil.html")
    assert evil.tags == clean.tags
    data = json.loads(evil.scripts[0])["runs"][0]
    assert data["data"]["labels"][0] == data["summary"]["task"] == data["summary"]["members"][0]["describe"] == EVIL


def test_what_json_has_no_word_for_is_null(tmp_path):
    events = journal()
    run = write_run(tmp_path / "run", events)
    events[-3]["teacher"]["load_ms"] = float("nan")
    events[0]["data"]["notes"] = ["half a pair: \ud83d"]
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (run / "journal.jsonl").write_text(lines, encoding="utf-8")
    text = written([run], tmp_path / "page.html").scripts[0]
    data = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))["runs"][0]
    assert data["data"]["notes"] == ["half a pair: ?"] and data["summary"]["teacher"]["load_ms"] is None


def test_an_unfinished_run_has_a_page(tmp_path):
    for name, events in {"half": journal(finished=False), "first": journal()[:1]}.items():
        page = written([write_run(tmp_path / name, events)], tmp_path / f"{name}.html")
        assert json.loads(page.scripts[0])["runs"][0]["summary"]["final"] is False


def test_a_failed_write_leaves_the_old_page(tmp_path, monkeypatch):
    run, file = write_run(tmp_path / "run"), tmp_path / "page.html"
    with pytest.raises(InputError, match=r"cannot be written: there is no folder .*missing; make it first"):
        write_report([run], tmp_path / "missing" / "page.html")
    file.write_text("the old page")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_report([run], file)
    assert file.read_text() == "the old page" and sorted(f.name for f in tmp_path.iterdir()) == ["page.html", "run"]


def test_a_wrong_page_ends_before_any_run_is_read(tmp_path):
    with pytest.raises(UnknownName, match="reprot"):
        write_report([tmp_path / "no run"], tmp_path / "page.html", page="reprot")


def test_several_runs_in_one_page(tmp_path):
    runs = [
        write_run(tmp_path / "a" / "demo"),
        write_run(tmp_path / "b" / "demo", journal(task="sst2", finished=False)),
    ]
    page = written(runs, tmp_path / "page.html")
    first, second = json.loads(page.scripts[0])["runs"]
    assert (first["key"], second["key"]) == ("r0", "r1")
    assert (first["name"], second["name"]) == ("a/demo", "b/demo")
    assert first["path"] == str(tmp_path / "a" / "demo") and first["knee"] and second["knee"]
    assert (first["summary"]["final"], second["summary"]["final"]) == (True, False)
    assert page.title == "prompt_injection, sst2: a front of compressed models"


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["runs/a", "runs/b"], ["a", "b"]),
        (["x/demo", "y/demo"], ["x/demo", "y/demo"]),
        (["demo", "demo"], ["demo (1)", "demo (2)"]),
        ([], []),
    ],
)
def test_runs_have_names_of_their_own(folders, names):
    assert names_of([Path("/", folder) for folder in folders]) == names


def test_a_live_page_asks_for_what_takes_long(tmp_path):
    data = page_data([write_run(tmp_path / "run")], live={"exports": "here"}, cards=False)
    [run] = data["runs"]
    assert (data["version"], data["live"]) == (2, {"exports": "here"})
    assert run["cards"] is None and run["importance"] is None


def test_cards_of_all_members_and_landmarks_are_in_the_file(tmp_path):
    [run] = page_data([write_run(tmp_path / "run")])["runs"]
    assert set(run["cards"]) == {"teacher", "plain_int8", *(m["id"] for m in run["summary"]["members"])}


def test_no_card_may_show_texts_when_they_are_not_wanted(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "autocomp.report.run_view.card", lambda run, member, evidence, texts, student: asked.append(texts)
    )
    run = write_run(tmp_path / "run")
    write_report([run], tmp_path / "page.html", texts=False)
    assert asked == [False] * 11
    write_report([run], tmp_path / "page.html")
    assert asked[11:] == [True] * 11


def test_what_is_done_is_told(tmp_path):
    told = []
    page_data([write_run(tmp_path / "run")], tell=told.append)
    assert f"{tmp_path / 'run'}: 39 candidates read" in told and any("which knobs" in words for words in told)


def test_a_nonce_is_only_in_pages_that_are_served(tmp_path):
    (tmp_path / "x.html").write_text('<script nonce="{{nonce}}">1</script>')
    data = page_data([write_run(tmp_path / "run")], cards=False)
    assert fill(tmp_path / "x.html", data) == '<script nonce="">1</script>'
    assert fill(tmp_path / "x.html", data, 'a"b') == '<script nonce="a&quot;b">1</script>'


def test_own_templates(tmp_path):
    run, own = write_run(tmp_path / "run"), tmp_path / "own" / "dashboards"
    own.mkdir(parents=True)
    (own / "mine.html").write_text("<p>{{title}}</p>{{file:note.txt}}")
    (own / "note.txt").write_text("{{data}} is left as it is")
    file = tmp_path / "page.html"
    write_report([run], file, [own.parent], "mine")
    assert file.read_text() == "<p>prompt_injection: a front of compressed models</p>{{data}} is left as it is"
    with pytest.raises(UnknownName, match="mine"):
        write_report([run], tmp_path / "page.html", page="mine")
    (own / "report.html").write_text("")
    with pytest.raises(SpecError, match="defined already"):
        write_report([run], tmp_path / "page.html", [own.parent])


def test_a_wrong_part_is_named(tmp_path):
    (tmp_path / "x.html").write_text("{{datta}}")
    with pytest.raises(SpecError, match="must be one of data, file, nonce, plotly, title"):
        fill(tmp_path / "x.html", page_data([write_run(tmp_path / "run")]))


def test_the_scripts_write_no_markup():
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", SCRIPTS)


def test_no_button_uploads_the_chart():
    assert 'plotlyServerURL: ""' in SCRIPTS and '"sendChartToCloud"' in SCRIPTS


def test_plotlys_script_is_compiled_at_once(tmp_path):
    _, plotly, *_ = read(write_report([write_run(tmp_path / "run")], tmp_path / "page.html")).scripts
    assert plotly.count("self : this, (() => {") == 1 and plotly.rstrip().endswith("return Plotly;\n})));")

"""Cards, comparison, try, export and the live stream, in a real browser; offline ones with cards made by hand."""

import hashlib
import itertools
import json
import re

import pytest

import autocomp
from autocomp.catalogue import shipped
from autocomp.report.page import fill, page_data
from autocomp.testing.runs import journal, write_run

EVIL = '</script><img src=x onerror="window.evil = 1"><b>bold</b> & {{plotly}}'
PARTS = ("embeddings", "attention", "feed_forward", "norms", "head", "exits", "tokenizer", "graph", "manifest")
PANELS = ("The plan", "Size by part", "Layer by layer", "How long it takes", "By length of the text", "How right it is")
PANELS += ("Where it answers otherwise than the teacher", "Try it", "Export this", "Where texts leave")
PANELS += ("How it came about", "On the command line")
EMPTY = ("sizes", "layers", "latency", "answers", "differences", "exits_used", "lineage", "commands")


def layer(depth, heads, width, bits, left):
    held = {"bits": bits, "numbers": "integer", "sparsity": 0.5 if depth == 1 else 0.0, "rank": None, "bytes": 9000}
    exit = {"rule": "confidence", "threshold": 0.9} if left else None
    attention = {"heads": heads, "head_size": 32, **held, "bits": [bits] * 4}
    feed = {"width": width, **held}
    kept = {"depth": depth, "teacher_layer": 2 * depth - 1, "attention": attention, "feed_forward": feed}
    return {**kept, "tokens": 0.8 if depth == 2 else 1.0, "exit": exit}


def card(member):
    """A card that has every part."""
    tokens = [4 + 5 * (i % 12) for i in range(60)]
    base = [round(member["latency_ms"] * (0.5 + t / 60) * (1 + i % 7 / 20), 4) for i, t in enumerate(tokens)]
    times = {"mean": member["latency_ms"], "p50": 0.9, "p95": 1.7, "p99": 2.1, "rounds": 9, "predicted": False}
    shape = {"layers": 6, "hidden": 384, "heads": 12, "feed_forward": 1536, "vocabulary": 30522}
    whole = {"bits": 4, "numbers": "integer", "sparsity": 0.0, "bytes": 300_000}
    rows = [layer(1, 8, 384, 4, True), layer(2, 12, 768, 3, False)]
    layers = {"hidden": 256, "vocabulary": 4000, "teacher": shape, "embeddings": whole, "rows": rows}
    one = {"text": EVIL, "pair": None, "truth": "yes", "teacher": "yes", "teacher_confidence": 0.97}
    other = [{**one, "text": f"text {i}", "member": "no", "member_confidence": 0.6} for i in range(8)]
    made = [{"kind": "teacher", "key": "0a", "text": "fine-tuned", "seconds": 60.0, "job": None}]
    made += [{"kind": "recovery", "key": "1b", "text": EVIL, "seconds": 75.0, "job": "t0001"}]
    return {
        "id": member["id"],
        "describe": member["describe"],
        "words": ["Keeps 2 of 6 layers.", EVIL],
        "plan_yaml": f"steps:\n- technique: depth # {EVIL}\n",
        "sizes": {"total": 900_000, "gzip": 800_000, "parts": [{"part": p, "bytes": 100_000} for p in PARTS]},
        "layers": {**layers, "head": {"bits": 8, "bytes": 3000}},
        "latency": {**times, "ms": base, "tokens": tokens, "teacher_ms": [9 * ms for ms in base]},
        "answers": {
            **{
                "labels": ["no", EVIL],
                "n": 100,
                "confusion": [[48, 2], [5, 45]],
                "teacher_confusion": [[49, 1], [2, 48]],
            },
            "classes": [{"label": "no", "n": 50, "precision": 0.9, "recall": 0.96, "f1": 0.93, "teacher_f1": 0.97}],
        },
        "differences": {"count": 9, "shown": [{**one, "member": "no", "member_confidence": 0.8}, *other]},
        "exits_used": {"depths": [1, 2], "fractions": [0.62, 0.38]},
        "lineage": made,
        "commands": {"export": "autocomp export R --pick m01 --out o", "predict": "autocomp predict o 'a text'"},
    }


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """One offline report for all tests here, for opening it takes longest; its members have cards, m09's is empty."""
    folder, events = tmp_path_factory.mktemp("parts"), journal()
    front = next(e for e in events if e["event"] == "front")
    front["members"][1]["plan"]["steps"][0]["options"]["linear"] = 8
    data = page_data([write_run(folder / "run", events)])
    run = data["runs"][0]
    items = [*run["summary"]["members"], run["summary"]["teacher"], run["summary"]["plain_int8"]]
    run["cards"] = {item["id"]: card(item) for item in items}
    run["cards"]["m09"] = {"id": "m09", "describe": "", "words": [], "plan_yaml": "", **dict.fromkeys(EMPTY)}
    file = folder / "page.html"
    file.write_text(fill(shipped("dashboards") / "report.html", data), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.errors = []
    page.on("console", lambda said: page.errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(file.as_uri())
    return page


@pytest.fixture
def sheet(opened):
    """The report with nothing open; no test may leave an error on its console."""
    opened.evaluate("setState({pick: null, compare: []})")
    yield opened
    assert opened.errors == []


def pick(page, name):
    page.focus("a, button")
    page.evaluate("ref => setState({pick: ref})", f"r0/{name}")
    page.wait_for_function("name => document.getElementById('card-title')?.textContent === name", arg=name)


def compare(page, *names):
    page.evaluate("refs => setState({compare: refs})", [f"r0/{name}" for name in names])
    page.wait_for_function("n => document.querySelectorAll('#comparison .layers svg').length === n", arg=len(names))


def active(page):
    return page.evaluate("document.activeElement.id")


def levels(page):
    return page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].filter(h => h.offsetParent).map(h => +h.tagName[1])"
    )


def test_a_card_is_whole(sheet):
    pick(sheet, "m01")
    assert sheet.locator("#card h3").all_inner_texts() == list(PANELS)
    assert sheet.locator("#card .missing").all_inner_texts() == [
        "Trying a text needs the live page. This command opens one:"
    ]
    assert sheet.locator("#card svg").count() == 4
    words = sheet.inner_text("#card .figures")
    assert "×218 smaller than the teacher" in words and "95 % interval 0.9244 to 0.9366" in words
    assert sheet.locator("#card .stack > span").count() == len(PARTS)
    confusion = sheet.locator("#card .confusion").first
    assert confusion.locator("td b").all_inner_texts() == ["48", "2", "5", "45"]
    assert confusion.locator("td span").all_inner_texts() == ["96 %", "4.0 %", "10 %", "90 %"]


def test_headings_are_in_order_and_the_heading_has_the_focus(sheet):
    pick(sheet, "m01")
    assert active(sheet) == "card-title"
    found = levels(sheet)
    assert found[0] == 1 and all(b <= a + 1 for a, b in itertools.pairwise(found))


def test_a_click_opens_a_card_and_escape_closes_it_and_gives_the_focus_back(sheet):
    sheet.locator("#members button:text-is('m01')").click()
    sheet.wait_for_selector("#card .panel")
    assert active(sheet) == "card-title" and sheet.inner_text("#card-title") == "m01"
    sheet.keyboard.press("Escape")
    sheet.wait_for_selector("#card", state="hidden")
    held = "[document.activeElement.textContent, document.activeElement.closest('table') !== null, state.pick]"
    sheet.wait_for_timeout(50)
    assert sheet.evaluate(held) == ["m01", True, None]


def test_texts_of_the_data_stay_texts(sheet):
    pick(sheet, "m01")
    compare(sheet, "m01", "m02")
    assert sheet.locator("#card .sample >> nth=0").inner_text() == EVIL
    for text in (
        sheet.text_content("#card .plan-words"),
        sheet.text_content("#card pre"),
        sheet.text_content("#card .lineage"),
    ):
        assert EVIL in text
    assert sheet.locator("main img, main b b").count() == 0 and sheet.evaluate("window.evil") is None


def test_what_is_not_known_is_said(sheet):
    pick(sheet, "m09")
    said = sheet.locator("#card .missing").all_inner_texts()
    assert len(said) == 8 and sum("is of a version that" in text for text in said) == 6


def test_a_prediction_is_told_from_a_measurement(sheet):
    told = "is => { runs[0].summary.members[0].latency_predicted = is; merge(0, {run: {}, rows: []}); }"
    sheet.evaluate(told, True)
    pick(sheet, "m01")
    assert sheet.locator("#card .figures .source.predicted").all_inner_texts() == ["~ predicted"]
    assert sheet.locator("#card .figures .source.measured").count() == 3
    sheet.evaluate(told, False)
    sheet.wait_for_selector("#card .figures .source.predicted", state="detached")
    assert sheet.locator("#card .figures .source.measured").count() == 4


def test_a_disturbed_measurement_is_marked(sheet):
    told = "is => { runs[0].summary.members[0].latency_disturbed = is; merge(0, {run: {}, rows: []}); }"
    sheet.evaluate(told, True)
    pick(sheet, "m01")
    assert sheet.locator("#card .figures .source.disturbed").all_inner_texts() == ["! disturbed"]
    assert sheet.locator("#card .figures .source.measured").count() == 3
    assert sheet.locator("text=/ms ! disturbed/").count() >= 1
    sheet.evaluate(told, False)
    sheet.wait_for_selector("#card .figures .source.disturbed", state="detached")


def test_the_picture_of_the_layers_is_also_a_table(sheet):
    pick(sheet, "m01")
    picture = sheet.locator("#card .layers svg")
    assert "2 layers kept of the teacher's 6" in picture.locator("desc").text_content()
    assert picture.locator("text", has_text="dropped").count() == 4
    assert picture.locator(".flag").count() == 1 and "62 % leave" in picture.text_content()
    sheet.click("#card summary:has-text('same as a table') >> nth=0")
    rows = sheet.locator("#card table:has(caption:text('Layers in numbers')) tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == [f"layer {i}" for i in range(1, 7)]
    assert (
        "8 × 32" in rows[0] and "62 % leave" in rows[0] and "dropped" in rows[1] and "80 % of tokens go on" in rows[2]
    )


def test_all_differences_are_shown_on_demand(sheet):
    pick(sheet, "m01")
    items = sheet.locator("#card .differences li")
    assert items.count() == 6 and "9 texts" in sheet.inner_text("section:has(> .differences)")
    sheet.click("text=Show all 9")
    assert items.count() == 9


def test_candidates_have_a_card_too(sheet):
    pick(sheet, "t0001-0")
    sheet.wait_for_selector("#card .figures")
    assert sheet.inner_text("#card-title") == "t0001-0" and "search split" in sheet.inner_text("#card .figures")
    assert "depth.layers" in sheet.inner_text("#card table:has(caption:text('What was chosen'))")


def test_members_side_by_side(sheet):
    compare(sheet, "m01", "m03")
    sheet.select_option("#comparison select", "r0/m02")
    sheet.wait_for_function("() => document.querySelectorAll('#comparison .layers svg').length === 3")
    best = sheet.locator("#comparison .compared tr:has(th:text-is('size')) td")
    assert best.first.inner_text().startswith("★") and "★" not in best.nth(1).inner_text()
    assert sheet.locator("#comparison tr.differs th").all_inner_texts() == ["≠\xa0bits: linear"]
    assert sheet.locator("#comparison .overlaid path.spread").count() == 3
    sheet.click("[aria-label='Remove m01']")
    sheet.wait_for_function("() => document.querySelectorAll('#comparison .layers svg').length === 2")
    assert sheet.evaluate("state.compare") == ["r0/m03", "r0/m02"]
    sheet.click("#comparison button:text-is('End')")
    sheet.wait_for_selector("#comparison", state="hidden")


def test_the_address_brings_card_and_comparison_back(sheet):
    pick(sheet, "m02")
    sheet.click("#card-compare")
    sheet.evaluate("setState({compare: [...state.compare, 'r0/teacher']})")
    sheet.reload()
    sheet.wait_for_selector("#comparison .layers svg")
    assert sheet.inner_text("#card-title") == "m02" and active(sheet) != "card-title"


CONTRAST = """() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const ground = (n) => {
    const own = rgba(getComputedStyle(n).backgroundColor);
    return own[3] > 0.99 ? own : over(own, n.parentElement ? ground(n.parentElement) : [255, 255, 255, 1]);
  };
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const isShown = (n) => [...n.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim()) && n.checkVisibility();
  const bad = [];
  for (const n of document.querySelectorAll("#card *, #comparison *, #now *")) {
    const drawn = n.closest("svg"), style = getComputedStyle(n);
    if (!isShown(n) || n.disabled || n.closest("title, desc, style") || (drawn && n.hasAttribute("fill"))) continue;
    const under = ground(drawn ? n.closest("div") : n), ink = over(rgba(drawn ? style.fill : style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x), times = (a + 0.05) / (b + 0.05);
    if (times < 4.5) bad.push(`${n.outerHTML.slice(0, 60)} ${times.toFixed(2)}`);
  }
  return bad;
}"""
TOO_WIDE = """() => [...document.querySelectorAll("#card, #card *, #comparison *, #now *")].filter((e) =>
  !e.closest(".scroll, pre") && e.getBoundingClientRect().right > 361).map((e) => e.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_and_in_both_schemes(sheet, scheme):
    sheet.set_viewport_size({"width": 360, "height": 740})
    sheet.emulate_media(color_scheme=scheme)
    pick(sheet, "m01")
    compare(sheet, "m01", "m02", "teacher")
    poor, wide = sheet.evaluate(CONTRAST), sheet.evaluate(TOO_WIDE)
    sheet.set_viewport_size({"width": 1280, "height": 900})
    sheet.emulate_media(color_scheme="light")
    assert (poor, wide) == ([], [])


def test_scripts_share_one_scope_without_clashes():
    folder = shipped("dashboards")
    files = re.findall(r"\{\{file:([\w-]+\.js)\}\}", (folder / "report.html").read_text(encoding="utf-8"))
    names = [
        name
        for file in files
        for name in re.findall(
            r"^(?:async function|function|const|let|class) (\w+)", (folder / file).read_text(encoding="utf-8"), re.M
        )
    ]
    assert {"card.js", "live.js", "now.js"} <= set(files)
    assert sorted(n for n in set(names) if names.count(n) > 1) == []


@pytest.fixture
def live(page, finished, dashboard, tmp_path):
    """A live page of the real run, with the card of its first member open."""
    served = dashboard(finished, "--exports", tmp_path / "exports")
    page.goto(served.url)
    pick(page, "m01")
    page.wait_for_selector("#try-text")
    return page


def test_try_it_answers_as_the_artifact_does(live, finished):
    assert (
        live.locator("#card .panel").count() >= 9 and live.locator("#card .layers svg, #card .spread svg").count() == 2
    )
    assert live.get_attribute("#live", "data-stream") == "finished"
    text = "the film was good <b>great</b> people"
    live.fill("#try-text", text)
    live.press("#try-text", "Enter")
    live.wait_for_selector("#try-answers .answer >> nth=1")
    told = live.locator("#try-answers .answer p:first-child").all_inner_texts()
    wanted = [autocomp.load(finished / folder).predict([text])[0] for folder in ("teacher", "front/m01")]
    assert told == [f"{who}: {answer.label}" for who, answer in zip(("teacher", "m01"), wanted, strict=True)]
    shown = live.locator("#try-answers .answer >> nth=1").inner_text()
    assert f"{100 * max(wanted[1].scores.values()):.1f} %" in shown and "layer" in shown and " ms " in shown
    live.fill("#try-text", " ")
    live.click("#try-go")
    assert live.inner_text(".try .problem") == "Type a text first."


def test_export_writes_what_loads_with_the_runs_checksums(live, finished, tmp_path):
    live.fill("#export-name", "../guard")
    live.click("#export-write")
    assert "will not do as a name" in live.inner_text("#export-told") and not (tmp_path / "exports").exists()
    live.fill("#export-name", "guard")
    live.press("#export-name", "Enter")
    live.wait_for_selector("#export-path")
    folder = tmp_path / "exports" / "guard"
    assert live.inner_text("#export-path") == str(folder)
    sums = dict(row.split("\t") for row in live.locator("#export-told tbody tr").all_inner_texts())
    files = ("model.onnx", "tokenizer.json", "manifest.json")
    for place in (folder, finished / "front" / "m01"):
        assert {f: hashlib.sha256((place / f).read_bytes()).hexdigest() for f in files} == sums
    assert autocomp.load(folder).predict(["good film"]) == autocomp.load(finished / "front/m01").predict(["good film"])
    assert "--pick m01" in live.inner_text(".same code")
    live.click("#export-write")
    live.wait_for_selector("#export-told .problem")
    live.watch.expect("409")


def test_a_running_study_is_followed(page, dashboard, tmp_path):
    events = journal()
    cut = next(i for i, e in enumerate(events) if e["event"] == "front")
    run = write_run(tmp_path / "run", events[:cut])
    page.goto(dashboard(run).url)
    page.wait_for_selector("#live[data-stream=live]")
    assert "autocomp resume" in page.inner_text("#now")
    before = page.evaluate("runs[0].trials.count")
    record = next(e for e in events if e["event"] == "record")
    new = {**record, "record": {**record["record"], "id": "t0099-0"}}
    with (run / "journal.jsonl").open("a") as file:
        file.write(json.dumps(new) + "\n")
    page.wait_for_function("n => runs[0].trials.count === n + 1", arg=before)
    with (run / "journal.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events[cut:])
    page.wait_for_selector("#live[data-stream=finished]")
    assert "Finished" in page.inner_text("#now")


def test_a_server_that_is_gone_is_told(page, dashboard, tmp_path):
    served = dashboard(write_run(tmp_path / "run", journal(finished=False)))
    page.goto(served.url)
    page.wait_for_selector("#live[data-stream=live]")
    served.process.terminate()
    page.wait_for_selector("#live[data-stream=reconnecting]")
    page.wait_for_timeout(500)
    page.watch.errors.clear()

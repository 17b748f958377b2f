"""What mattered, all knobs at once, what foretold what, how it went: in a real browser, against the run's numbers."""

import json
import re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from autocomp.catalogue import shipped
from autocomp.report.page import fill, page_data
from autocomp.testing.large_runs import write_large_run
from autocomp.testing.runs import journal, write_run

EVIL = '<img src=x onerror="evil=1">'
SHARES = {
    "depth.layers": 0.6,
    "linear_bits.bits": 0.2,
    EVIL: 0.1,
    "fidelity.rung": 0.06,
    "exits.threshold": 0.02,
    "sparsity.fraction": 0.02,
}
IMPORTANCE = {
    "objectives": {
        "latency_ms": {"knobs": SHARES, "explained": 0.83},
        "score": {"knobs": SHARES, "explained": 0.21},
        "bytes": {"knobs": SHARES, "explained": -0.4},
    },
    "rows": 300,
}
PARTS = ("importance", "parallel", "proxies", "progress-parts")
COUNTED = "document.getElementById('brushed').textContent"

# A card that closes above moves the picture, other axes draw it anew: wait until it has stayed for some frames.
STILL = """() => new Promise((done) => { let last = null, frames = 0;
    const look = () => { const { node } = shownParallel, y = node.isConnected ? node.getBoundingClientRect().y : NaN;
        frames = y === last ? frames + 1 : 0; last = y;
        if (frames > 12) done(); else requestAnimationFrame(look); };
    look(); })"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data of a finished run of 500 candidates, with a knob that would like to be markup."""
    made = page_data([write_large_run(tmp_path_factory.mktemp("knobs") / "run", 500)], cards=False)
    run = made["runs"][0]
    run["importance"], run["cards"] = IMPORTANCE, {}
    rows = run["trials"]["count"]
    run["trials"]["knobs"][EVIL] = {"values": [EVIL, "plain"], "codes": [i % 3 - 1 for i in range(rows)]}
    return made


def write(data, file):
    file.write_text(fill(shipped("dashboards") / "report.html", data), encoding="utf-8")
    return file.as_uri()


def see(page, *parts):
    for part in parts or PARTS:
        page.locator(f"#{part}").scroll_into_view_if_needed()
        page.wait_for_function("id => document.getElementById(id).childElementCount > 0", arg=part)


@pytest.fixture(scope="module")
def opened(browser, data, tmp_path_factory):
    """One report for most tests here: opening it takes longest. `early`: what was drawn before anyone scrolled."""
    page = browser.new_page(viewport={"width": 1280, "height": 700}, reduced_motion="reduce")
    errors = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error.stack)))
    page.goto(write(data, tmp_path_factory.mktemp("knobs") / "page.html"))
    page.wait_for_function("() => performance.getEntriesByName('first-chart').length === 1")
    page.wait_for_timeout(100)
    early = page.evaluate("document.querySelectorAll('#parallel svg, #progress svg').length")
    see(page)
    page.wait_for_selector("#parallel svg")
    return SimpleNamespace(page=page, errors=errors, early=early)


@pytest.fixture
def sheet(opened):
    """Nothing picked, nothing brushed; no test may leave an error on the console, and no text became markup."""
    opened.page.evaluate("parallel.brushes.clear(); parallel.chosen = null; setState({pick: null, runs: ['r0']})")
    opened.page.evaluate("drawParallel(byId('parallel')); syncBrushTable()")
    opened.page.wait_for_selector("#card", state="hidden")
    yield opened.page
    assert opened.errors == []
    assert opened.page.evaluate("window.evil === undefined && !document.querySelector('#knobs img')")


def matching(data, **ranges):
    """Rows of a run whose knobs or figures (by key) lie inside the ranges, and its members among them."""
    trials, inside = data["runs"][0]["trials"], None
    for name, (low, high) in ranges.items():
        knob = trials["knobs"].get(name.replace("__", "."))
        values = [knob["values"][c] for c in knob["codes"]] if knob else trials["values"][name]
        fits = {i for i, value in enumerate(values) if value is not None and low <= value <= high}
        inside = fits if inside is None else inside & fits
    ids = {trials["id"][i] for i in inside}
    return len(inside), {member for record, member in trials["member"].items() if record in ids}


def named(page):
    return {b.get_attribute("data-ref").split("/")[1] for b in page.locator("#brushed-members [data-ref]").all()}


def test_no_two_scripts_declare_one_name():
    declared = re.compile(r"^(?:const|let|class|(?:async )?function) ([\w$]+)", re.MULTILINE)
    names = Counter(n for f in shipped("dashboards").glob("*.js") for n in declared.findall(f.read_text("utf-8")))
    assert len(names) > 200 and [name for name, times in names.items() if times > 1] == []


def test_nothing_is_drawn_before_it_comes_near(opened, sheet):
    assert opened.early == 0
    assert sheet.locator("#parallel svg, #progress svg").count() == 3


def test_shares_are_sorted_and_small_ones_folded(sheet):
    latency = sheet.locator("#importance .panel", has_text="Latency").first
    rows = latency.locator(":scope > .shares li").all_inner_texts()
    assert [row.split("\n")[0] for row in rows] == ["depth layers", "linear bits", EVIL, "how long it was trained"]
    assert [row.split("\n")[-1] for row in rows] == ["60 %", "20 %", "10 %", "6 %"]
    widths = latency.locator(":scope > .shares i").evaluate_all("bars => bars.map((b) => parseFloat(b.style.width))")
    assert widths == pytest.approx([100, 100 / 3, 100 / 6, 10], abs=0.1)
    assert latency.locator("summary").inner_text() == "2 others, together 4 %"


def test_what_is_explained_is_told_as_it_is(sheet):
    words = sheet.locator("#importance .explained").all_inner_texts()
    assert "explain 83 % of how latency differs" in words[0]
    assert "only 21 %" in words[1] and "hint" in words[1]
    assert "next to nothing" in words[2]
    unsure = sheet.locator("#importance .panel").evaluate_all("all => all.map((p) => p.classList.contains('unsure'))")
    assert unsure == [False, True, True]


def test_members_are_bold_and_a_sample_is_faint(sheet, data):
    members = len(data["runs"][0]["trials"]["member"])
    assert sheet.locator(".member-line").count() == members > 10
    assert sheet.locator(".faint-line").count() == 320
    first = sheet.locator(".knob-name").first.text_content()
    assert first == "depth layers"  # the greatest share in what is explained
    assert "latency" in sheet.locator("#parallel svg desc").text_content()
    assert f"{data['runs'][0]['trials']['count']} candidates, {members} of them members" in sheet.inner_text("#brushed")


def places(page, axis, low, high):
    """Where two shares of an axis' length are on the screen."""
    return page.evaluate(
        """([key, low, high]) => { const i = shownParallel.axes.findIndex((a) => a.key === key);
            const box = shownParallel.node.getBoundingClientRect();
            return [low, high].map((s) => shownParallel.place.at(i, s)).map(([x, y]) => [box.x + x, box.y + y]); }""",
        [axis, low, high],
    )


def is_over(page, axis, place):
    return page.evaluate("([axis, x, y]) => document.elementFromPoint(x, y)?.dataset.axis === axis", [axis, *place])


def drag(page, axis, low, high):
    """Along an axis, from one share of its length to another; what moved under the pointer is aimed at again."""
    for _ in range(5):
        page.evaluate(STILL)
        page.evaluate("shownParallel.node.scrollIntoView({block: 'center'})")
        page.evaluate(STILL)
        place = places(page, axis, low, high)
        page.mouse.move(*place[0])
        if places(page, axis, low, high) == place and is_over(page, axis, place[0]):
            break
    else:
        pytest.fail(f"{axis} does not come under the pointer: last aimed at {place}")
    page.mouse.down()
    page.mouse.move(*np.mean(place, axis=0))
    page.mouse.move(*place[1])
    page.mouse.up()


def test_dragging_brushes_and_names_the_members_that_match(sheet, data):
    drag(sheet, "knob:depth.layers", 0, 0.22)
    sheet.wait_for_function(f"() => {COUNTED}.includes('depth layers 1 to 2')")
    drag(sheet, "figure:latency_ms", 0, 0.5)
    sheet.wait_for_function(f"() => {COUNTED}.includes('latency at most')")
    most = sheet.evaluate("parallel.brushes.get('figure:latency_ms').to")
    rows, members = matching(data, depth__layers=(1, 2), latency_ms=(0, most))
    assert 0 < rows < data["runs"][0]["trials"]["count"] and members
    assert f": {rows} of " in sheet.inner_text("#brushed")
    assert named(sheet) == members
    assert sheet.locator(".member-line.inside").count() == len(members)
    outside = sheet.locator(".faint-line:not(.inside)").first.evaluate("line => +getComputedStyle(line).opacity")
    assert outside < 0.1
    sheet.get_by_role("button", name="Show all again").click()
    sheet.wait_for_function("() => !shownParallel.node.classList.contains('brushed')")
    assert named(sheet) == set()


def test_a_click_on_a_value_chooses_it_and_again_lets_it_go(sheet, data):
    drag(sheet, "knob:depth.layers", 0.4, 0.4)
    sheet.wait_for_function(f"() => {COUNTED}.includes('With depth layers 3:')")
    assert f": {matching(data, depth__layers=(3, 3))[0]} of " in sheet.inner_text("#brushed")
    drag(sheet, "knob:depth.layers", 0.4, 0.4)
    sheet.wait_for_function("() => parallel.brushes.size === 0")


def test_select_boxes_brush_by_keyboard_and_a_button_opens_the_card(sheet, data):
    sheet.locator("#brush-boxes").evaluate("box => { box.open = true; }")
    sheet.get_by_label("linear bits, from", exact=True).select_option("6")
    sheet.get_by_label("depth layers, to", exact=True).select_option("2")
    sheet.wait_for_function("() => parallel.brushes.size === 2")
    rows, members = matching(data, depth__layers=(1, 2), linear_bits__bits=(6, 8))
    sheet.wait_for_function(f"() => {COUNTED}.includes(': {rows} of ')")
    assert named(sheet) == members and members
    sheet.locator("#brushed-members [data-ref]").first.focus()
    ref = sheet.evaluate("document.activeElement.dataset.ref")
    sheet.keyboard.press("Enter")
    sheet.wait_for_function("ref => state.pick === ref", arg=ref)
    see(sheet, "parallel")
    sheet.wait_for_selector(".member-line.picked")


def test_boxes_say_what_was_dragged_and_axes_can_be_chosen(sheet):
    drag(sheet, "figure:bytes", 0.3, 0.7)
    sheet.wait_for_function("() => parallel.brushes.size === 1")
    brush = sheet.evaluate("parallel.brushes.get('figure:bytes')")
    boxes = [sheet.get_by_label(f"size, MB, {end}", exact=True) for end in ("from", "to")]
    sheet.wait_for_function("() => document.querySelector('[data-axis=\"figure:bytes\"] select').value !== ''")
    assert [json.loads(box.input_value()) for box in boxes] == [brush["from"], brush["to"]]
    before = sheet.evaluate("shownParallel.axes.length")
    sheet.locator("#brush-boxes").evaluate("box => { box.open = true; }")
    sheet.get_by_label("show size, MB").uncheck()
    assert sheet.evaluate("[shownParallel.axes.length, parallel.brushes.size]") == [before - 1, 0]
    sheet.get_by_label("sparsity fraction, from", exact=True).select_option("0.5")
    sheet.wait_for_function("() => shownParallel.axes.some((a) => a.key === 'knob:sparsity.fraction')")


def test_the_same_in_words(sheet, data):
    trials, row = data["runs"][0]["trials"], sheet.locator("#parallel-words tr", has_text="depth layers")
    knob = trials["knobs"]["depth.layers"]
    layers = [knob["values"][knob["codes"][trials["id"].index(record)]] for record in trials["member"]]
    ends = f"{min(layers)} to {max(layers)}" if min(layers) < max(layers) else str(min(layers))
    assert row.locator("td").first.text_content() == ends


def test_proxies_tell_their_rank_correlation(sheet, data):
    panels = sheet.locator("#proxies .panel")
    for i, proxy in enumerate(data["runs"][0]["proxies"]):
        panel = panels.nth(i)
        assert f"Rank correlation {proxy['rank_correlation']:.2f}" in panel.inner_text()
        assert panel.locator("circle").count() == len(proxy["ids"])
    first = panels.first.inner_text()
    assert "is mostly ahead in the score on the held-out split" in first and "points" in first
    sheet.locator("#proxies .pair-dot.opens").first.click()
    sheet.wait_for_function("() => state.pick !== null")


def test_words_fit_the_rank_correlation(sheet):
    words = "rank => proxyWords({rank_correlation: rank, ids: [1, 2, 3], x_label: 'cheap, ms', y_label: 'dear, ms'})"
    told = [sheet.evaluate(words, rank) for rank in (0.95, 0.75, 0.5, 0.1, None)]
    assert told[0].startswith("who is ahead in the cheap is mostly ahead in the dear") and "only 3 pairs" in told[0]
    assert "often" in told[1] and "roughly" in told[2] and "says little" in told[3] and "no order" in told[4]


def spoken(seconds):
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def test_how_it_went_says_when_half_was_there(sheet, data):
    told = data["runs"][0]["progress"]
    volumes, spent = np.array(told["hypervolume"], float), np.array(told["spent"])
    half = round(told["at_s"][int(np.argmax(volumes >= volumes[-1] / 2))])
    words = sheet.inner_text(".progress-words")
    assert f"Half of the final hypervolume was there after {spoken(half)};" in words
    before = volumes[spent <= 0.9 * spent[-1]][-1]
    added = 100 * (volumes[-1] - before) / volumes[-1]
    assert f"added {added:.1f} %" in words if 0.05 <= added < 9.5 else "added" in words
    marks = sheet.locator(".found").evaluate_all("all => all.map((m) => +(m.querySelector('text')?.textContent || 1))")
    assert sum(marks) == len(data["runs"][0]["trials"]["member"])
    assert "given: 13 h" in sheet.locator(".given").inner_html()
    table = sheet.locator("#progress details table tbody tr")
    assert table.count() == sum(marks)


def test_records_have_a_second_scale_on_demand(sheet):
    see(sheet, "progress-parts")
    assert sheet.locator(".record-path").count() == 0
    sheet.get_by_label("candidates measured").check()
    sheet.wait_for_selector(".record-path", state="attached")
    assert sheet.evaluate("document.activeElement.id") == "show-records"
    sheet.get_by_label("candidates measured").uncheck()


@pytest.mark.slow
def test_a_phone_has_room_for_all(pages, data, tmp_path):
    page = pages(viewport={"width": 360, "height": 740}, color_scheme="dark")
    page.goto(write(data, tmp_path / "page.html"))
    see(page)
    page.wait_for_selector("#progress svg")
    assert page.evaluate("shownParallel.place.upright") is False
    page.locator("#brush-boxes").evaluate("box => { box.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    drag(page, "knob:depth.layers", 0, 0.22)
    page.wait_for_function(f"() => {COUNTED}.includes('depth layers 1 to 2')")


@pytest.mark.slow
def test_a_run_that_only_began_and_one_beside_it(page, data, tmp_path):
    begun, small = (
        write_run(tmp_path / name, events) for name, events in (("new", journal()[:1]), ("small", journal()))
    )
    two = page_data([small, begun], cards=False)
    large = {**data["runs"][0], "key": "r2", "name": "large"}
    page.goto(write({**two, "runs": [*two["runs"], large]}, tmp_path / "page.html"))
    see(page)
    page.wait_for_selector("#progress svg")
    assert "Too few different candidates" in page.inner_text("#importance")
    assert "20 are needed, 0 are there" in page.inner_text("#importance")
    assert "new: The run only began" in page.inner_text("#progress")
    assert "9 members without a line" in page.inner_text("#brushed")
    assert page.locator("#progress .run-path").count() == 4
    assert page.locator("#parallel-legend li").all_inner_texts() == ["small", "new", "large"]
    dashes = page.locator(".volume .run-path").evaluate_all("all => all.map((p) => p.getAttribute('stroke-dasharray'))")
    assert len(set(dashes)) == 2
    page.evaluate("setState({runs: ['r1']})")
    page.wait_for_function("() => !document.querySelector('#progress svg') && !document.querySelector('#knobs svg')")


@pytest.mark.slow
def test_a_served_page_asks_what_mattered_when_it_is_seen(page, data, tmp_path):
    run = {**data["runs"][0], "importance": None}
    page.goto(write({**data, "runs": [run], "live": {"exports": None}}, tmp_path / "page.html"))
    page.evaluate(
        """found => { window.paths = []; api = async (path) => { window.paths.push(path);
            if (window.paths.length === 1) throw new Error("the journal is gone"); return found; }; }""",
        IMPORTANCE,
    )
    assert page.evaluate("paths") == []
    see(page, "importance")
    assert page.get_by_role("alert").inner_text() == "the journal is gone"
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("#importance .shares-panel")
    assert page.evaluate("paths") == ["api/runs/0/importance"] * 2
    page.evaluate("asked.get('r0').rows -= 200; drawKnobs()")
    page.get_by_role("button", name="200 new candidates").click()
    page.wait_for_selector("#importance button", state="detached")
    assert page.evaluate("paths.length") == 3

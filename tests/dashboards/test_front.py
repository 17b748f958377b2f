"""The page without its server: chart, limits, table, downloads, address; one report of a made-up run for all tests."""

import csv
import json

import pytest

from autocomp.catalogue import shipped
from autocomp.measures import measures
from autocomp.report.page import write_report
from autocomp.report.pick import pick
from autocomp.report.summary import summary
from autocomp.testing.runs import events_with_energy, journal, write_plug_in, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "made_up")


@pytest.fixture(scope="module")
def address(run):
    return write_report([run], run.parent / "page.html").as_uri()


@pytest.fixture(scope="module")
def loaded(browser, address):
    """One page for most tests here, for loading takes longest; and what went wrong in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page, errors = context.new_page(), []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error.stack)))
    opened(page, address)
    yield page, errors
    context.close()


@pytest.fixture
def face(loaded):
    """The page as it was at first; it must end without an error."""
    page, errors = loaded
    page.mouse.move(0, 0)
    page.evaluate("Object.assign(sorting, { key: 'bytes', up: true })")
    yield page
    assert errors == []


def opened(page, address, hash=""):
    if page.url.split("#")[0] == address:
        page.evaluate("(hash) => { location.hash = hash; }", hash)
        page.wait_for_timeout(50)
        page.evaluate("() => { drawFront(); drawLimits(); drawMembers(); }")
        page.wait_for_timeout(100)
        return page
    page.goto("about:blank")
    page.goto(address + hash)
    page.wait_for_function("() => performance.getEntriesByName('first-chart').length === 1")
    return page


def points(page):
    """Members that the chart shows with full strength, by id."""
    return page.evaluate(
        """() => [...new Set(chart.data.filter((t) => t.error_y).flatMap((t) =>
            t.customdata.filter((_, i) => t.marker.opacity[i] === 1)))].map((ref) => ref.split("/")[1])"""
    )


def drawn_trials(page):
    """Pixels of the canvas that trials have coloured."""
    page.wait_for_timeout(50)
    return page.evaluate(
        """() => { const c = byId("trials"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"""
    )


def table(page):
    return [row.get_attribute("data-ref").split("/")[1] for row in page.locator("#member-table tbody tr").all()]


def test_the_chart_draws_members_landmarks_and_trials(face, address, run):
    opened(face, address)
    members = {m["id"] for m in summary(run)["members"]}
    assert set(points(face)) <= members and len(points(face)) > 2
    assert {"teacher", "plain int8"} <= set(face.locator("#chart .textpoint text").all_text_contents())
    assert drawn_trials(face) > 50
    face.get_by_label("all candidates").uncheck()
    assert drawn_trials(face) == 0


def test_a_limit_narrows_the_front_and_names_what_the_command_line_would_pick(face, address, run):
    before = len(points(opened(face, address)))
    found = summary(run)
    least = sorted(m["score"] for m in found["members"])[3]
    face.locator("#limit-score").fill(f"{least:.4f}")
    face.locator("#limit-score").press("Enter")
    face.wait_for_function("() => location.hash.includes('limits=score:')")
    face.locator("#limit-bytes").fill("20")
    face.locator("#limit-bytes").press("Enter")
    face.wait_for_function("() => location.hash.includes('bytes:20000000')")
    best = pick(found, f"score>={least:.4f},bytes<=20000000")["id"]
    face.wait_for_function(f"() => byId('verdict').querySelector('.pick button').textContent === '{best}'")
    assert 0 < len(points(face)) < before
    assert "Runner-up" in face.locator("#verdict").inner_text()
    assert f"--pick 'score>={float(f'{least:.4f}'):g},bytes<=20000000'" in face.locator("#verdict code").inner_text()
    face.get_by_role("button", name="Reset", exact=True).click()
    face.wait_for_function("() => !location.hash.includes('limits')")
    face.wait_for_function("() => chart.data.filter((t) => t.error_y)[0].marker.opacity.every((o) => o === 1)")


def test_the_slider_does_the_same_by_keyboard(face, address):
    slider = opened(face, address).get_by_label("latency at most, slider", exact=True)
    slider.focus()
    for _ in range(30):
        slider.press("ArrowLeft")
    # Both at one moment: keys are still worked off.
    typed = "Number(byId('limit-latency_ms').value)"
    face.wait_for_function(f"() => {typed} > 0 && Math.abs(state.limits.latency_ms - {typed}) < 1e-6")
    slider.press("End")
    face.wait_for_function("() => byId('limit-latency_ms').value === ''")


def test_a_limit_is_what_was_typed_and_a_slider_leaves_the_best_in(face, address, run):
    opened(face, address)
    face.locator("#limit-score").fill("0.96576")
    face.locator("#limit-score").press("Enter")
    assert face.evaluate("state.limits.score") == 0.96576 and "limits=score:0.96576" in face.url
    for name in ("accuracy at least, slider", "latency at most, slider", "size at most, slider"):
        face.get_by_role("button", name="Reset", exact=True).click()
        slider = face.get_by_label(name, exact=True)
        slider.press("Home")
        face.wait_for_function("() => Object.keys(state.limits).length === 1")
        marks = face.evaluate("shownRuns().flatMap(landmarksOf).filter(meetsLimits).length")
        assert marks + len(face.evaluate("shownMembers().filter(meetsLimits).map((m) => m.id)")) >= 1


def test_impossible_limits_say_which_one_is_to_blame(face, address):
    opened(face, address, "#limits=score:0.999,latency_ms:100")
    said = face.locator("#verdict").inner_text()
    assert "meets every limit" in said and "None of" in said and "Nearest:" in said
    assert "at least 0.9990" in said


def test_weights_name_another_one_and_tell_the_sum(face, address, run):
    opened(face, address, "#weights=bytes:1")
    smallest = min(summary(run)["members"], key=lambda m: m["bytes"])["id"]
    assert face.locator("#verdict .pick button").inner_text() == smallest
    assert "1 × size 0.00" in face.locator("#verdict").inner_text()


def test_the_address_keeps_the_view(page, address):
    opened(page, address)
    page.get_by_label("across").select_option("bytes")
    page.locator("#member-table tbody tr").nth(1).get_by_role("button").click()
    page.wait_for_selector("#card:not([hidden])")
    picked = page.evaluate("state.pick")
    assert f"x=bytes&pick={picked}" in page.url
    page.reload()
    page.wait_for_selector("#card:not([hidden])")
    assert page.evaluate("[state.x, state.pick]") == ["bytes", picked]
    page.go_back()
    page.wait_for_selector("#card", state="hidden")
    assert page.evaluate("state.x") == "bytes"


def test_nonsense_in_the_address_is_ignored(face, address):
    opened(
        face, address, "#x=__proto__&y=%&limits=a:b,score:1e,constructor:3&pick=r9/m01&compare=r0/%3Cb%3E,,&hidden=r7&z"
    )
    assert face.evaluate("[state.x, state.y, state.limits, state.pick, state.compare, state.runs]") == [
        "latency_ms", "score", {}, None, [], ["r0"],
    ]  # fmt: skip


def last_point(face):
    """A member on the chart: its name, and where it is in the window; what opens below may have scrolled the page."""
    face.locator("#chart").scroll_into_view_if_needed()
    return face.evaluate(
        """() => {
            const trace = chart.data.find((t) => t.error_y), { xaxis, yaxis } = chart._fullLayout;
            const last = trace.x.length - 1, box = chart.getBoundingClientRect();
            const x = box.x + xaxis._offset + xaxis.d2p(trace.x[last]);
            return { ref: trace.customdata[last], x, y: box.y + yaxis._offset + yaxis.d2p(trace.y[last]) };
        }"""
    )


def test_a_click_on_a_point_opens_its_card_and_shift_compares(face, address):
    opened(face, address)
    at = last_point(face)
    face.mouse.move(at["x"], at["y"])
    face.wait_for_selector("#chart .hoverlayer .hovertext")
    face.mouse.click(at["x"], at["y"])
    face.wait_for_selector("#card:not([hidden])")
    assert face.evaluate("state.pick") == at["ref"]
    at = last_point(face)
    face.keyboard.down("Shift")
    face.mouse.click(at["x"], at["y"])
    face.keyboard.up("Shift")
    face.wait_for_selector("#comparison:not([hidden])")
    assert face.evaluate("state.compare") == [at["ref"]] and face.evaluate("state.pick") == at["ref"]


def test_a_candidate_under_the_pointer_is_told(face, address):
    opened(face, address)
    at = face.evaluate(
        """() => {
            const { x, y } = scales(), { xaxis, yaxis } = chart._fullLayout, box = chart.getBoundingClientRect();
            const xs = places(runs[0], state.x), ys = places(runs[0], state.y);
            const members = chart.data.flatMap((t) => t.x.map((v, i) => [xaxis.d2p(v), yaxis.d2p(t.y[i])]));
            const places_ = Array.from(xs, (v, i) => [x.a * v + x.b, y.a * ys[i] + y.b]);
            const alone = ([px, py]) => px > 80 && px < 600 && py > 40 && py < 300 && members.every(
                ([mx, my]) => Math.hypot(mx + xaxis._offset - px, my + yaxis._offset - py) > 40);
            const [px, py] = places_.find(alone);
            return { x: box.x + px, y: box.y + py };
        }"""
    )
    face.mouse.move(at["x"], at["y"])
    face.wait_for_selector("#tip:not([hidden])")
    assert "depth.layers" in face.locator("#tip").inner_text()


def test_columns_sort(face, address, run):
    opened(face, address)
    by_size = [m["id"] for m in sorted(summary(run)["members"], key=lambda m: m["bytes"])]
    assert [name for name in table(face) if name in by_size] == by_size
    face.locator("[data-focus=sort-bytes]").click()
    assert [name for name in table(face) if name in by_size] == by_size[::-1]
    assert face.locator("th[aria-sort=descending]").count() == 1


def saved(page, name, folder):
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    waiting.value.save_as(folder / "saved")
    return (folder / "saved").read_text(encoding="utf-8")


def test_downloads_hold_what_is_shown(face, address, run, tmp_path):
    found = summary(run)
    limit = sorted(m["bytes"] for m in found["members"])[4]
    opened(face, address, f"#limits=bytes:{limit}")
    rows = list(csv.DictReader(saved(face, "Members as CSV", tmp_path).splitlines()))
    fitting = {m["id"]: m for m in found["members"] if m["bytes"] <= limit}
    assert {r["member"] for r in rows} == {*fitting, "teacher", "plain_int8"}
    assert all(float(r["score"]) == fitting[r["member"]]["score"] for r in rows if r["member"] in fitting)
    trials = json.loads(saved(face, "Candidates as JSON", tmp_path))
    assert 0 < len(trials) < 39 and all(t["bytes"] <= limit for t in trials)
    assert {t["depth.layers"] for t in trials} <= {1, 2, 3, 4, 5, 6}


def test_a_text_in_a_spreadsheet_is_no_formula(page, tmp_path):
    events = journal()
    for member in events[-3]["members"]:
        member["describe"] = '=HYPERLINK("http://x")'
    file = write_report([write_run(tmp_path / "evil", events)], tmp_path / "page.html")
    rows = list(csv.DictReader(saved(opened(page, file.as_uri()), "Members as CSV", tmp_path).splitlines()))
    assert {r["plan"][:12] for r in rows if r["member"].startswith("m")} == {"'=HYPERLINK("}


def test_html_in_texts_stays_text(page, tmp_path):
    evil = '<img src=x onerror="window.evil = 1"><b>bold</b>'
    events = journal(task=evil)
    for member in events[-3]["members"]:
        member["describe"] = evil
    file = write_report([write_run(tmp_path / "evil", events)], tmp_path / "page.html")
    opened(page, file.as_uri(), "#pick=r0/m01")
    page.mouse.move(
        *page.evaluate("(() => { const b = chart.getBoundingClientRect(); return [b.x + 200, b.y + 200]; })()")
    )
    assert page.evaluate("window.evil") is None
    assert evil in page.locator("#title").inner_text() and page.locator("main b").filter(has_text="bold").count() == 0


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_a_phone_needs_no_sideways_scrolling(pages, address, scheme):
    page = opened(
        pages(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True),
        address,
        "#pick=r0/m02&compare=r0/m01,r0/m02",
    )
    page.wait_for_selector("#comparison:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 19, 21)"
    assert dark == (scheme == "dark")


def test_several_runs_in_one_chart(page, run, tmp_path):
    other = write_run(tmp_path / "other", journal())
    opened(page, write_report([run, other], tmp_path / "page.html").as_uri())
    both = len(table(page))
    assert {ref.split("/")[0] for ref in page.evaluate("chart.data.flatMap((t) => t.customdata || [])")} == {"r0", "r1"}
    page.get_by_role("button", name="other", exact=True).click()
    page.wait_for_function("() => location.hash === '#hidden=r1'")
    page.wait_for_function(f"() => document.querySelectorAll('#member-table tbody tr').length < {both}")


@pytest.mark.parametrize(
    "events",
    [journal()[:1], *(pytest.param(e, marks=pytest.mark.slow) for e in (journal(finished=False), journal()[:2]))],
)
def test_a_run_that_has_only_begun_has_a_page(page, events, tmp_path):
    opened(page, write_report([write_run(tmp_path / "run", events)], tmp_path / "page.html").as_uri())
    assert page.locator("#title").inner_text()


def test_no_name_is_declared_twice():
    import re

    names = re.compile(r"^(?:async )?(?:const|let|function) +([\w$]+)", re.M)
    found = [n for f in shipped("dashboards").glob("*.js") for n in names.findall(f.read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(set(found))


def test_a_measure_of_a_plug_in_is_an_axis_a_column_and_a_limit(page, report, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(write_plug_in(tmp_path / "site")))
    monkeypatch.setattr(measures, "_entry_points", None)
    monkeypatch.setattr(measures, "_figures", {})
    opened(page, report(events_with_energy()), "#x=energy_mj&limits=energy_mj:1")
    assert page.evaluate("axisTitle('energy_mj')") == "energy of a request, mJ (log scale)"
    assert page.evaluate("madeAxes().map((axis) => axis.name).filter((name) => name.startsWith('energy'))") == [
        "energy_mj",
        "energy_peak_w",
    ]
    [first, *_] = page.evaluate("memberTable()")
    assert 0 < first["energy_mj"] <= 1 and "energy_peak_w" in first
    assert page.evaluate("document.getElementById('verdict').textContent").count("energy_mj<=1") == 1

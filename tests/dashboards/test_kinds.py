"""Cards and *Try it* where answers are several labels, a number, or of a kind that the page does not know."""

import json

import pytest

import autocomp
from autocomp.catalogue import shipped
from autocomp.report.page import fill, page_data
from autocomp.testing.kinds import LABELS, evidence_of, journal_of, write_model_of
from autocomp.testing.runs import put_evidence, write_run

PAIR = ("a good film", "a bad film")
TOO_WIDE = """() => [...document.querySelectorAll("#card *")].filter((e) =>
  !e.closest(".scroll, pre") && e.getBoundingClientRect().right > 361).map((e) => e.outerHTML.slice(0, 80))"""


def written(kind, folder, known=None):
    """A made-up run of a kind, its teacher and first member real files; `known` is the kind that its evidence names."""
    events = journal_of(kind)
    run = write_run(folder, events)
    names = [m["id"] for e in events if e["event"] == "front" for m in e["members"]]
    put_evidence(run, {**evidence_of(kind, names), "kind": known or kind})
    for seed, place in enumerate(("teacher", "front/m01")):
        write_model_of(kind, run / place, seed)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each kind, and one of a kind whose head is not installed."""
    folder = tmp_path_factory.mktemp("kinds")
    made = {kind: written(kind, folder / kind) for kind in LABELS}
    return {**made, "other": written("regression", folder / "other", "chess_moves")}


def card_of(page, run, name="m01", **options):
    """The report of a run, opened at a card."""
    file = run.parent / f"{run.name}.html"
    file.write_text(fill(shipped("dashboards") / "report.html", page_data([run], **options)), encoding="utf-8")
    page.goto(f"{file.as_uri()}#pick=r0/{name}")
    page.wait_for_selector("#card .panel h3:text-is('How right it is')")


def table(page, caption):
    rows = page.locator(f"#card table:has(caption:text-is({json.dumps(caption)})) tr")
    return [row.split("\t") for row in rows.all_inner_texts()]


def picture(page):
    return page.locator("#card .picture.scatter svg")


def test_a_card_of_several_labels(page, runs):
    card_of(page, runs["multi_label"])
    told = page_data([runs["multi_label"]])["runs"][0]["cards"]["m01"]["answers"]
    head, *rows = table(page, "Label by label: this one / the teacher")
    assert head == ["label", "texts", "precision", "recall", "F1", "points", "holds from"]
    assert {row[0] for row in rows} == set(LABELS["multi_label"])
    assert [int(row[1]) for row in rows] == sorted((c["n"] for c in told["classes"]), reverse=True)
    joy, shown = told["classes"][0], next(row for row in rows if row[0] == "joy")
    assert shown[4] == f"{joy['f1']:.4f} / {joy['teacher_f1']:.4f}" and shown[6] == "0.50 / 0.50"
    counted = table(page, "How many labels a text gets")
    assert counted[0] == ["texts with", "truth", "m01", "teacher"] and counted[1][0] == "no label"
    assert sum(int(row[1]) for row in counted[1:-1]) == 200 and counted[-1][0] == "labels a text"
    assert table(page, "All answers together")[1][0] == "micro f1, more is better"
    assert page.locator("#card .confusion").count() == 0 and page.locator("main img, main b b").count() == 0
    assert "of all yes or no" in page.inner_text("#card .figures")


def test_differences_of_several_labels_are_named(page, runs):
    card_of(page, runs["multi_label"])
    first = page_data([runs["multi_label"]])["runs"][0]["cards"]["m01"]["differences"]["shown"][0]
    said = page.locator("#card .differences li >> nth=0").inner_text()
    words = [", ".join(first[who]) or "no label" for who in ("truth", "teacher", "member")]
    assert all(one in said for one in words) and first["teacher"] != first["member"]
    right = page.locator("#card .differences li >> nth=0 >> .verdict.right").count()
    assert right == sum(first[who] == first["truth"] for who in ("teacher", "member"))
    assert "it is right on" in page.inner_text("section:has(> .differences)")


def test_a_card_of_numbers(page, runs):
    card_of(page, runs["regression"])
    drawn = picture(page)
    drawn.wait_for()
    assert drawn.locator("circle").count() == 200 and drawn.locator("rect").count() == 200
    assert "on the line an answer is right" in drawn.locator("desc").text_content()
    assert drawn.locator("title").text_content() == "Numbers of m01 over the true ones"
    told = page_data([runs["regression"]])["runs"][0]["cards"]["m01"]["answers"]["figures"]
    rows = table(page, "All answers together")[1:]
    assert [row[0].rpartition(", ")[2] for row in rows] == ["less is better"] * 2 + ["more is better"] * 2
    for row, figure in zip(rows, told, strict=True):
        assert [float(cell) for cell in row[1:]] == pytest.approx([figure["member"], figure["teacher"]], rel=5e-4)
    page.click("#card section:has(h3:text-is('How right it is')) summary")
    rows = table(page, "Numbers by the true one")
    assert len(rows) == 6 and sum(int(row[1]) for row in rows[1:]) == 200
    assert "less than a quarter" in page.inner_text("#card .figures")


def test_differences_of_numbers_are_the_largest_ones(page, runs):
    card_of(page, runs["regression"])
    shown = page_data([runs["regression"]])["runs"][0]["cards"]["m01"]["differences"]["shown"]
    apart = [abs(one["member"] - one["teacher"]) for one in shown]
    assert apart == sorted(apart, reverse=True) and apart[-1] > 0.25 * 1.5
    said = page.locator("#card .differences li >> nth=0").inner_text()
    assert " off)" in said and "✗" not in said and "%" not in said and "The second text" in said
    assert "the farthest apart first; it is nearer to the truth on" in page.inner_text("section:has(> .differences)")


def test_the_teacher_s_own_card_names_it_once(page, runs):
    card_of(page, runs["regression"], "teacher")
    picture(page).wait_for()
    assert table(page, "All answers together")[0] == ["", "teacher"] and picture(page).locator("rect").count() == 0
    card_of(page, runs["multi_label"], "teacher")
    assert table(page, "How many labels a text gets")[0] == ["texts with", "truth", "teacher"]


def test_a_kind_that_is_not_installed_has_its_scores(page, runs):
    card_of(page, runs["other"])
    rows = table(page, "200 texts with answers of the kind chess_moves")
    assert rows[0] == ["", "spearman", "standard error", "agreement"]
    assert [row[0] for row in rows[1:]] == ["teacher", "plain int8", "m01"] and rows[3][3].endswith(" %")
    assert "chess_moves cannot be read here" in page.inner_text("#card > ul.hint")
    assert page.locator("#card h3").count() > 8


def test_negative_scores_are_drawn_and_limits_hold(page, tmp_path):
    events = journal_of("regression")
    front = next(e for e in events if e["event"] == "front")
    for i, member in enumerate(front["members"]):
        member |= {"score": -0.4 + 0.1 * i, "score_difference": -1.4 + 0.1 * i}
    for mark in ("teacher", "plain_int8"):
        front[mark]["score"] = 0.02
    run = write_run(tmp_path / "run", events)
    card_of(page, run)
    assert "-0.4000" in page.inner_text("#card .figures")
    page.evaluate("setState({limits: {score: -0.05}})")
    kept = page.evaluate("shownMembers().filter(meetsLimits).map((m) => m.id)")
    assert kept == ["m05", "m06", "m07", "m08", "m09"]
    drawn = page.evaluate("[chart._fullLayout.yaxis.range, chart._fullLayout.yaxis.type]")
    assert drawn[1] == "linear" and drawn[0][0] < -0.4 and drawn[0][1] > 0.4


@pytest.mark.parametrize("kind", LABELS)
def test_it_is_readable_on_a_phone(pages, runs, kind):
    page = pages(viewport={"width": 360, "height": 740})
    card_of(page, runs[kind])
    assert page.evaluate(TOO_WIDE) == []


def asked(page, dashboard, run):
    """The live page's card of m01, a text asked of both."""
    page.goto(f"{dashboard(run).url}#pick=r0/m01")
    page.wait_for_selector("#try-text")
    page.fill("#try-text", PAIR[0])
    if page.locator("#try-pair").is_visible():
        page.fill("#try-pair", PAIR[1])
    page.click("#try-go")
    page.wait_for_selector("#try-answers .answer >> nth=1")
    return page.locator("#try-answers .answer")


def test_try_it_with_several_labels(page, dashboard, runs):
    run = runs["multi_label"]
    boxes = asked(page, dashboard, run)
    for i, (who, place) in enumerate((("teacher", "teacher"), ("m01", "front/m01"))):
        wanted = autocomp.load(run / place).predict([PAIR[0]])[0]
        lines = boxes.nth(i).locator("li")
        assert boxes.nth(i).locator("p >> nth=0").inner_text() == f"{who}: {', '.join(wanted.labels) or 'no label'}"
        assert lines.count() == 5 and boxes.nth(i).locator("li span:has-text('✓')").count() == len(wanted.labels)
        named = boxes.nth(i).locator("[role=img]").first.get_attribute("aria-label")
        best = (*wanted.labels, max(wanted.scores, key=wanted.scores.get))[0]
        assert named.startswith(f"{best} {100 * wanted.scores[best]:.1f} %") and ("holds" in named) == bool(
            wanted.labels
        )


def test_try_it_with_a_number(page, dashboard, runs):
    run = runs["regression"]
    boxes = asked(page, dashboard, run)
    values = [autocomp.load(run / place).predict([PAIR])[0].value for place in ("teacher", "front/m01")]
    told = [boxes.nth(i).locator("p >> nth=0").inner_text().split(": ")[1].replace("−", "-") for i in (0, 1)]
    assert [float(value) for value in told] == pytest.approx(values, rel=1e-3)
    name = boxes.nth(1).locator("[role=img]").get_attribute("aria-label")
    assert "on a scale from 0" in name and name.endswith(("5", "4.99", "4.98", "4.97", "4.96", "4.95"))
    apart = page.inner_text("#try-answers .tried > .verdict")
    assert float(apart.split()[0]) == pytest.approx(abs(values[0] - values[1]), rel=0.01, abs=1e-3)

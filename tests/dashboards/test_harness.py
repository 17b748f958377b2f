"""The watch over pages notices what it is there for; else every other test here could pass for nothing."""

import pytest

CSP = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; script-src 'nonce-a'\">"
WRONG = {
    "console: oops": "<script>console.error('oops')</script>",
    "page: thrown": "<script>throw new Error('thrown')</script>",
    "rejected": "<script>Promise.reject(new Error('rejected'))</script>",
    "Content Security Policy": f"{CSP}<script>1</script>",
    "asked the network: http://example.org/x.png": "<img src='http://example.org/x.png'>",
    "failed: file:///not/there.js": "<script src='file:///not/there.js'></script>",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_goes_wrong_is_noticed(words, page, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><title>x</title>{WRONG[words]}")
    page.goto(file.as_uri())
    page.wait_for_timeout(100)
    page.watch.expect(words)
    page.watch.errors.clear()


def test_a_report_opens_without_errors(page, report):
    page.goto(report())
    page.wait_for_selector(".main-svg")
    assert page.locator(".main-svg").first.is_visible()


def test_a_real_run_is_at_hand(finished):
    assert (finished / "front" / "m01" / "model.onnx").stat().st_size > 1000

"""What somebody else might send: forged names and origins, no token, foreign paths, too much, too slowly, malformed."""

import http.client
import json
import re
import socket
import time

import pytest

from autocomp.serving import _uvicorn
from autocomp.serving import security as gate
from autocomp.testing.runs import journal, write_run

MEMBER = "/api/runs/0/members"
RULES = {
    "content-security-policy",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "cache-control",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
}
PATHS = [
    "..",
    "../../../../etc/passwd",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "/etc/passwd",
    "%2Fetc%2Fpasswd",
    "m01%00",
    "m01%00.html",
    "m01/../../../etc",
    "..%5c..%5cwindows",
    "C:%5CWindows",
    "%5c%5cserver%5cshare",
    "%c0%ae%c0%ae",
    "%ef%bc%8e%ef%bc%8e%ef%bc%8f",
    "m01%0d%0aX-Evil:%201",
    "m01%20",
    "m01.",
    "M01",
    "~root",
    "front%2fm01",
    ".",
    "__class__",
    "%f0%9f%98%80",
    "m" * 4000,
]
NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/tmp/x",
    "a\\b",
    "..\\x",
    "C:\\x",
    "C:x",
    "x\x00y",
    "x\n",
    "x\r\nX: 1",
    "-x",
    ".hidden",
    "x.",
    "x ",
    " x",
    "con",
    "NUL.txt",
    "com1",
    "lpt9.onnx",
    "ä",
    "．．",
    "a" * 81,
    "x:stream",
    "$(id)",
    "~",
    None,
    3,
    ["x"],
    {"x": 1},
    True,
]


def tree(folder):
    return sorted(str(p) for p in folder.rglob("*"))


def request(client, line="GET /api/runs HTTP/1.1", *headers, host=True, token=True, body=b""):
    """A request as bytes, with Host and token unless they are left out."""
    lines = [
        line,
        *([f"Host: {client.host}"] if host else []),
        *([f"X-Autocomp-Token: {client.token}"] if token else []),
    ]
    return "\r\n".join([*lines, *headers, "Connection: close", "", ""]).encode("utf-8") + body


def status(answer):
    return int(re.match(rb"HTTP/1\.1 (\d{3}) ", answer)[1])


# Who asks


@pytest.mark.parametrize(
    "path", ["/", "/api/runs", "/api/runs/0/updates", f"{MEMBER}/m01/card", f"{MEMBER}/m01/artifact.zip", "/nothing"]
)
@pytest.mark.parametrize("token", [None, "", "x", "A" * 43])
def test_without_the_token_nothing_is_told(client, path, token):
    query = "" if token is None else f"?token={token}"
    found, _, body = client.ask("GET", path + query, X_Autocomp_Token=token)
    assert found == 403 and b"terminal" in body and b"demo" not in body


def test_the_token_counts_only_in_its_place(client):
    token = client.token
    assert client.ask("GET", "/")[0] == 403, "the page by the header"
    assert client.ask("GET", f"{MEMBER}/m01/artifact.zip")[0] == 403, "a download by the header"
    for path in ("/api/runs", f"{MEMBER}/m01/card", "/api/runs/0/updates"):
        assert client.ask("GET", f"{path}?token={token}", X_Autocomp_Token=None)[0] == 403
    post = {"text": "a"}
    assert client.ask("POST", f"{MEMBER}/m01/try?token={token}", post, X_Autocomp_Token=None)[0] == 403
    assert client.ask("POST", f"{MEMBER}/m01/try", {**post, "token": token}, X_Autocomp_Token=None)[0] == 403
    cookie = {"Cookie": f"token={token}", "Authorization": f"Bearer {token}", "X_Autocomp_Token": None}
    assert client.ask("GET", "/api/runs", **cookie)[0] == 403
    assert client.ask("GET", f"/?token={token}&token={token}")[0] == 403
    assert client.ask("GET", f"/?Token={token}")[0] == 403
    assert client.ask("GET", f"/?token={token[:-1]}")[0] == 403
    assert client.ask("GET", f"/?token={token}x")[0] == 403
    assert status(client.raw(request(client, "GET /api/runs HTTP/1.1", f"X-Autocomp-Token: {token}"))) == 400, "twice"


def test_tokens_are_long_and_differ(served, finished):
    with served([finished]) as one, served([finished]) as two:
        assert one.token != two.token and len(one.token) >= 43
        assert one.token not in repr(one.serving)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "0.0.0.0:{port}",
        "127.0.0.1:{port}.evil.example",
        "127.0.0.1:{port}@evil.example",
        "",
        "[::1]",
        "2130706433:{port}",
        "192.168.0.7:{port}",
        "127.0.0.1:{port} ",
        "127.0.0.2:{port}",
    ],
)
def test_a_forged_host_is_refused(client, host):
    host = host.format(port=client.port)
    if host.endswith(" "):  # HTTP takes white space off
        host = host.replace(" ", "\x0b")
    for path in (f"/?token={client.token}", "/api/runs", f"{MEMBER}/m01/artifact.zip?token={client.token}"):
        answer = client.raw(request(client, f"GET {path} HTTP/1.1", f"Host: {host}", host=False))
        assert status(answer) in (400, 403) and b"demo" not in answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_names_of_loopback_are_taken(client, host):
    answer = client.raw(request(client, "GET /api/runs HTTP/1.1", f"Host: {host}:{client.port}", host=False))
    assert status(answer) == 200


def test_no_host_and_two_hosts(client):
    assert status(client.raw(request(client, host=False))) == 400
    assert status(client.raw(request(client, "GET /api/runs HTTP/1.0", host=False))) == 403
    assert status(client.raw(request(client, "GET /api/runs HTTP/1.1", "Host: evil.example"))) == 400
    answer = client.raw(request(client, "GET http://evil.example/api/runs HTTP/1.1"))
    assert status(answer) in (400, 404) and b"demo" not in answer


def test_a_further_name_is_taken_when_it_was_allowed(served, finished):
    with served([finished], allowed=("lab-3", "localhost:9000")) as client:
        for host, expected in (
            (f"lab-3:{client.port}", 200),
            ("localhost:9000", 200),
            ("lab-3", 403),
            ("lab-3:9000", 403),
        ):
            assert client.ask("GET", "/api/runs", Host=host)[0] == expected


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "http://evil.example:{port}",
        "file://",
    ],
)
def test_a_forged_origin_is_refused(client, origin):
    origin = origin.format(port=client.port)
    assert client.get("/api/runs", Origin=origin)[0] == 403
    assert client.post(f"{MEMBER}/m01/export", {"name": "x"}, Origin=origin)[0] == 403
    assert client.ask("GET", f"/?token={client.token}", Origin=origin)[0] == 403
    assert not (client.folder / "exports").exists()


def test_this_page_s_own_origin_is_taken(client):
    own = {"Origin": f"http://{client.host}", "Sec_Fetch_Site": "same-origin"}
    assert client.post(f"{MEMBER}/m01/try", {"text": "a"}, **own)[0] == 200


def test_foreign_pages_may_not_ask_even_without_an_origin(client):
    for site in ("cross-site", "same-site"):
        assert client.get("/api/runs", Sec_Fetch_Site=site)[0] == 403
        assert client.ask("GET", f"{MEMBER}/m01/artifact.zip?token={client.token}", Sec_Fetch_Site=site)[0] == 403
        frame = {"Sec_Fetch_Site": site, "Sec_Fetch_Dest": "iframe"}
        assert client.ask("GET", f"/?token={client.token}", **frame)[0] == 403
        link = {"Sec_Fetch_Site": site, "Sec_Fetch_Dest": "document"}
        assert client.ask("GET", f"/?token={client.token}", **link)[0] == 200, "a link in a mail"
        assert client.ask("GET", "/", **link)[0] == 403


def test_nothing_is_shared_across_origins(client):
    preflight = {"Origin": "http://evil.example", "Access_Control_Request_Method": "POST"}
    found, headers, _ = client.ask("OPTIONS", f"{MEMBER}/m01/try", **preflight)
    assert found == 405 and not [name for name in headers if name.lower().startswith("access-control")]
    assert not [n for n in client.ask("GET", "/api/runs")[1] if n.lower().startswith("access-control")]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "CONNECT", "BREW", "get"])
def test_other_methods_are_refused(client, method):
    answer = client.raw(request(client, f"{method} /api/runs HTTP/1.1"))
    assert status(answer) == 405 and b"allow: GET, POST" in answer
    assert client.ask("POST", "/api/runs", {})[0] == 405
    assert client.get(f"{MEMBER}/m01/export")[0] == 405


def test_every_answer_carries_the_rules_and_no_banner(client):
    token = client.token
    answers = [
        client.ask("GET", f"/?token={token}"),
        client.ask("GET", "/"),
        client.ask("GET", "/api/runs"),
        client.ask("GET", "/nothing"),
        client.ask("GET", f"{MEMBER}/m01/artifact.zip?token={token}"),
        client.ask("POST", f"{MEMBER}/m01/try", b"{"),
        client.ask("DELETE", "/"),
        client.ask("GET", "/favicon.ico", X_Autocomp_Token=None),
    ]
    assert [found for found, _, _ in answers] == [200, 403, 200, 404, 200, 400, 405, 204]
    for _, headers, _ in answers:
        names = {name.lower() for name in headers}
        assert names >= RULES and not names & {"server", "x-powered-by", "set-cookie", "location"}
        assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "no-referrer"
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        answer = sock.recv(65536).lower()
    assert status(answer.upper()) == 400 and all(rule.encode() in answer for rule in RULES) and b"server:" not in answer


# Paths and names


@pytest.mark.parametrize("path", PATHS)
def test_no_path_of_a_request_reaches_a_file(client, path):
    before, token = tree(client.folder), client.token
    for line in (
        f"GET {MEMBER}/{path}/card",
        f"GET {MEMBER}/{path}/artifact.zip?token={token}",
        f"GET /api/runs/0/trials/{path}",
        f"GET /api/runs/{path}/importance",
        f"GET /{path}",
    ):
        answer = client.raw(request(client, f"{line} HTTP/1.1"))
        assert status(answer) in (400, 404, 431) or (path == "." and status(answer) == 403)
        assert b"root:x:" not in answer and b"X-Evil" not in answer.split(b"\r\n\r\n")[0]
    for action, body in (("try", {"text": "a"}), ("export", {"name": "x"})):
        data = json.dumps(body).encode()
        line = f"POST {MEMBER}/{path}/{action} HTTP/1.1"
        extra = ("Content-Type: application/json", f"Content-Length: {len(data)}")
        assert status(client.raw(request(client, line, *extra, body=data))) in (400, 404)
    assert tree(client.folder) == before


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_an_export_s_name_is_one_plain_name(client, name):
    before = tree(client.folder)
    found, answer = client.post(f"{MEMBER}/m01/export", {"name": name})
    assert found == 400 and answer["error"].startswith("name must be 1 to 80 of")
    assert tree(client.folder) == before


@pytest.mark.parametrize("run", ["1", "-1", "00", "0x0", "٠", "9" * 5000, "0.0", "1e0", "None"])
def test_runs_are_numbers_of_runs_on_the_page(client, run):
    quoted = run.encode().hex(" ").replace(" ", "%")
    assert client.get(f"/api/runs/%{quoted}/importance")[0] in (404, 431)


@pytest.mark.parametrize("rows", ["-1", "x", "1e3", "9" * 30, "", "٣", "0x1"])
def test_rows_are_a_number(client, rows):
    quoted = "".join(f"%{byte:02x}" for byte in rows.encode())
    found, answer = client.get(f"/api/runs/0/updates?rows={quoted}")
    assert found == 400 and "rows" in answer["error"]


def test_links_in_the_run_are_not_followed(fresh, finished, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("root:x", encoding="utf-8")
    for name, file in (("m01", "model.onnx"), ("m02", "tokenizer.json")):
        link = finished / "front" / name / file
        link.unlink()
        link.symlink_to(secret)
    (finished / "front" / "m03").rename(tmp_path / "elsewhere")
    (finished / "front" / "m03").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    for name in ("m01", "m02", "m03"):
        for found, _, body in (
            fresh.ask("GET", f"{MEMBER}/{name}/artifact.zip?token={fresh.token}"),
            fresh.ask("POST", f"{MEMBER}/{name}/export", {"name": "x"}),
            fresh.ask("POST", f"{MEMBER}/{name}/try", {"text": "a"}),
        ):
            assert found == 409 and b"root:x" not in body
    assert not (tmp_path / "exports" / "x").exists()


def test_a_journal_that_names_foreign_folders_is_not_followed(served, models, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for file in models["m01"].iterdir():
        (outside / file.name).write_bytes(file.read_bytes())
    events = journal()
    next(e for e in events if e["event"] == "front")["members"][0]["path"] = None
    run = write_run(tmp_path / "run", events)
    text = (run / "journal.jsonl").read_text(encoding="utf-8")
    front = json.loads(text.splitlines()[-3])
    assert front["event"] == "front"
    for number, path in enumerate(["../outside", str(outside)]):
        front["members"][number]["path"] = path
    lines = [*text.splitlines()[:-3], json.dumps(front), *text.splitlines()[-2:]]
    (run / "journal.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with served([run], tmp_path / "exports") as client:
        for name in ("m01", "m02"):
            found, answer = client.post(f"{MEMBER}/{name}/export", {"name": "x"})
            assert found == 409 and "out of the run" in answer["error"]


def test_links_among_the_exports_are_not_followed(fresh, tmp_path):
    exports, target = tmp_path / "exports", tmp_path / "target"
    exports.mkdir(), target.mkdir()
    (exports / "full").symlink_to(target, target_is_directory=True)
    (exports / "dangling").symlink_to(tmp_path / "nowhere")
    (exports / "file").write_text("mine", encoding="utf-8")
    (exports / "empty").mkdir()
    for name in ("full", "dangling", "file", "empty"):
        assert fresh.post(f"{MEMBER}/m01/export", {"name": name})[0] == 409
    assert list(target.iterdir()) == [] and not (tmp_path / "nowhere").exists()
    assert (exports / "file").read_text(encoding="utf-8") == "mine" and list((exports / "empty").iterdir()) == []


def test_an_exports_folder_that_cannot_be_made_is_said(served, finished, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with served([finished], tmp_path / "file" / "exports") as client:
        found, answer = client.post(f"{MEMBER}/m01/export", {"name": "x"})
    assert found == 409 and "cannot be written" in answer["error"]


EVIL = '<img src=x onerror=alert(1)></script><script>alert(2)</script>"\r\nX-Evil: 1\r\n\r\n\u2028'


def test_script_in_texts_stays_text(served, models, tmp_path):
    events = journal(task=EVIL)
    front = next(e for e in events if e["event"] == "front")
    front["members"][0].update(id=EVIL, describe=EVIL)
    run = write_run(tmp_path / "a 'run' <b>\"ü", events)
    for file in models["m01"].iterdir():
        (run / "front" / "m01" / file.name).write_bytes(file.read_bytes())
    with served([run], tmp_path / "exports") as client:
        found, headers, html = client.ask("GET", f"/?token={client.token}")
        assert found == 200 and "X-Evil" not in headers
        assert b"<script>alert(2)" not in html and b"<img src=x" not in html
        quoted = "".join(f"%{byte:02x}" for byte in EVIL.replace("/", "").encode())
        assert client.get(f"{MEMBER}/{quoted}/card")[0] == 404
        found, headers, _ = client.ask("GET", f"{MEMBER}/m02/artifact.zip?token={client.token}")
        assert found == 409 and headers["content-type"] == "application/json"


def test_a_download_s_name_is_plain(served, models, tmp_path):
    events = journal()
    evil = 'm"01\r\nX-Evil: 1'
    next(e for e in events if e["event"] == "front")["members"][0]["id"] = evil
    run = write_run(tmp_path / 'a "run"; ü\nx', events)
    for file in models["m01"].iterdir():
        (run / "front" / "m01" / file.name).write_bytes(file.read_bytes())
    with served([run], tmp_path / "exports") as client:
        quoted = "".join(f"%{byte:02x}" for byte in evil.encode())
        found, headers, _ = client.ask("GET", f"{MEMBER}/{quoted}/artifact.zip?token={client.token}")
    assert found == 200 and "X-Evil" not in headers
    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9_-]+\.zip"', headers["content-disposition"])


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"a"',
        b"1",
        b"NaN",
        b"{}",
        b'{"text": null}',
        b'{"text": 1}',
        b'{"text": ["a"]}',
        b'{"text": {"a": 1}}',
        b'{"text": "a", "x": 1}',
        b'{"text": "a", "pair": 1}',
        b'{"text": "a", "pair": ["b"]}',
        b'{"Text": "a"}',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b"[" * 60_000,
        b'{"text":' * 5000,
        b'{"text": 1' + b"0" * 9000 + b"}",
        b"\xef\xbb\xbf{}",
        '{"text": "a"}'.encode("utf-16"),
        b'{"__proto__": {}, "text": "a"}',
        b'{"text": "a"} x',
        b'{"text": "' + b"a" * 20_001 + b'"}',
        b'{"text": "a", "pair": "' + b"a" * 20_001 + b'"}',
        b"text=a",
    ],
)
def test_malformed_bodies_get_a_sentence(client, body):
    found, answer = client.post(f"{MEMBER}/m01/try", body)
    assert found == 400 and 10 < len(answer["error"]) < 300 and answer["error"].isascii()


def test_the_longest_text_is_taken(client):
    assert client.post(f"{MEMBER}/m01/try", {"text": "a " * 10_000})[0] == 200
    assert client.post(f"{MEMBER}/m01/try", {"text": "\x00\u202e\u2028</script>"})[0] == 200
    assert client.post(f"{MEMBER}/m01/try", {"text": ""})[0] == 200


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""]
)
def test_a_form_of_another_page_is_refused(client, kind):
    length = ("Content-Length: 13", *([] if kind is None else [f"Content-Type: {kind}"]))
    answer = client.raw(request(client, f"POST {MEMBER}/m01/export HTTP/1.1", *length, body=b'{"name": "x"}'))
    assert status(answer) == 415 and not (client.folder / "exports").exists()
    assert client.post(f"{MEMBER}/m01/try", {"text": "x"}, Content_Type="Application/JSON; charset=utf-8")[0] == 200


def test_an_encoded_body_is_refused(client):
    assert client.post(f"{MEMBER}/m01/try", b"\x1f\x8b", Content_Encoding="gzip")[0] == 415


def test_oversized_bodies_are_refused(client, monkeypatch):
    assert client.post(f"{MEMBER}/m01/try", b" " * (gate.MOST_BODY + 1))[0] == 413
    monkeypatch.setattr(gate, "DISCARD_S", 0.2)
    assert client.post(f"{MEMBER}/m01/try", b" " * 900_000)[0] == 413
    assert client.post(f"{MEMBER}/m01/try", b'{"text": "a"}'.ljust(gate.MOST_BODY))[0] == 200
    for length in ("999999999", "99999999999999999999", "1" * 5000, "-1", "1e3", "+5", "0x10", "1 1"):
        head = ("Content-Type: application/json", f"Content-Length: {length}")
        assert status(client.raw(request(client, f"POST {MEMBER}/m01/try HTTP/1.1", *head))) in (400, 413)


def chunked(client, path=f"{MEMBER}/m01/try"):
    return request(client, f"POST {path} HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked")


def test_a_chunked_body_without_end_stops_at_the_limit(client, monkeypatch):
    monkeypatch.setattr(gate, "DISCARD_S", 0.2)
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as sock:
        sock.sendall(chunked(client))
        deadline = time.monotonic() + 10
        with pytest.raises((ConnectionError, TimeoutError)):
            while time.monotonic() < deadline:
                sock.sendall(chunk)
    answer = client.raw(chunked(client), then=3 * chunk)
    assert status(answer) == 413
    assert client.get("/api/runs")[0] == 200


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n", b"-1\r\n", b"ffffffffffffffffffff\r\n", b"5;" + b"x" * 20000 + b"\r\n", b"1\r\nabc\r\n"]
)
def test_malformed_chunks_are_refused(client, chunk, monkeypatch):
    monkeypatch.setattr(gate, "BODY_S", 0.3)
    answer = client.raw(chunked(client) + chunk)
    assert answer == b"" or status(answer) in (400, 408, 413)
    assert client.get("/api/runs")[0] == 200


def test_a_body_that_never_comes_is_not_waited_for(client, monkeypatch):
    monkeypatch.setattr(gate, "BODY_S", 0.3)
    head = ("Content-Type: application/json", "Content-Length: 10")
    answer = client.raw(request(client, f"POST {MEMBER}/m01/try HTTP/1.1", *head, body=b'{"te'))
    assert status(answer) == 408
    assert status(client.raw(chunked(client) + b"1\r\n{\r\n")) == 408


def test_a_get_with_a_body_is_refused(client):
    assert status(client.raw(request(client, "GET /api/runs HTTP/1.1", "Content-Length: 5", body=b"hello"))) == 400
    endless = request(client, "GET /api/runs HTTP/1.1", "Transfer-Encoding: chunked")
    assert status(client.raw(endless, then=b"5\r\nhello\r\n")) == 400


def test_smuggled_requests_are_not_served(client):
    data = b'{"name": "smuggled"}'
    inner = request(
        client,
        f"POST {MEMBER}/m01/export HTTP/1.1",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        token=False,
        body=data,
    )
    both = ("Content-Type: application/json", "Content-Length: 4", "Transfer-Encoding: chunked")
    client.raw(request(client, f"POST {MEMBER}/m01/try HTTP/1.1", *both, body=b"0\r\n\r\n" + inner), wait=2)
    two = ("Content-Type: application/json", "Content-Length: 4", "Content-Length: 5")
    assert (
        status(client.raw(request(client, f"POST {MEMBER}/m01/try HTTP/1.1", *two, body=b"{}   " + inner), wait=2))
        == 400
    )
    assert not (client.folder / "exports").exists()


# Headers and connections


@pytest.mark.parametrize(
    "extra",
    [
        ["X: " + "a" * 20_000],
        [f"X-{i}: {'a' * 100}" for i in range(300)],
        ["X: " + "a" * 200_000],
        ["no colon"],
        ["X : a"],
        ["X\x00: a"],
        [" folded: a"],
    ],
    ids=["one long", "many", "very long", "no colon", "space", "NUL", "folded"],
)
def test_oversized_and_malformed_headers(client, extra):
    answer = client.raw(request(client, "GET /api/runs HTTP/1.1", *extra))
    assert answer == b"" or status(answer) in (400, 403, 431)
    assert client.get("/api/runs")[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"\x00" * 100,
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"x" * 100_000,
    ],
)
def test_what_is_no_http_is_refused(client, data):
    answer = client.raw(data, wait=1)
    assert answer == b"" or status(answer) in (400, 403, 405)
    assert client.get("/api/runs")[0] == 200


def test_an_upgrade_is_not_done(client):
    extra = ("Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
    lines = request(client, "GET /api/runs HTTP/1.1", *extra).replace(
        b"Connection: close", b"Connection: Upgrade, close"
    )
    assert status(client.raw(lines)) == 200


def test_slow_headers_are_cut_off(client, monkeypatch):
    monkeypatch.setattr(_uvicorn, "HEADERS_S", 0.5)
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as sock:
        sock.sendall(b"GET /api/runs HTTP/1.1\r\n")
        cut = False
        for _ in range(100):
            time.sleep(0.05)
            try:
                sock.sendall(b"X-a: b\r\n")
            except OSError:
                cut = True
                break
    assert cut
    assert client.raw(b"", wait=5) == b"", "who says nothing is cut off too"


def test_slow_headers_of_a_second_request_are_cut_off(client, monkeypatch):
    monkeypatch.setattr(_uvicorn, "HEADERS_S", 0.5)
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as sock:
        sock.sendall(request(client).replace(b"Connection: close\r\n", b""))
        assert sock.recv(4096)
        sock.sendall(b"GET /api/runs HTTP/1.1\r\n")
        while sock.recv(65536):
            pass


def test_who_does_not_read_is_cut_off(client, monkeypatch):
    monkeypatch.setattr(_uvicorn, "STALLED_S", 0.5)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", client.port))
        sock.sendall(request(client, f"GET /?token={client.token} HTTP/1.1"))
        deadline = time.monotonic() + 10
        while client.serving._server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not client.serving._server.server_state.connections


def test_many_streams_leave_room_for_others(live):
    opened = []
    try:
        for _ in range(70):
            connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
            connection.request("GET", "/api/runs/0/updates", headers={"X-Autocomp-Token": live.token})
            opened.append((connection, connection.getresponse()))
        statuses = [answer.status for _, answer in opened]
        assert statuses.count(200) == 64 and set(statuses[64:]) == {503}
        assert live.get("/api/runs")[0] == 200
        assert len(live.dashboard.streams._readers) == 1
    finally:
        for connection, answer in opened:
            answer.close()
            connection.close()
    deadline = time.monotonic() + 20
    while sum(live.dashboard.streams._open) and time.monotonic() < deadline:
        time.sleep(0.05)
    with live.updates() as following:
        assert following()["rows"] == []


def test_too_many_connections_are_not_kept(client, monkeypatch):
    monkeypatch.setattr(_uvicorn, "MOST_CONNECTIONS", 20)
    socks = [socket.create_connection(("127.0.0.1", client.port), timeout=10) for _ in range(25)]
    try:
        time.sleep(0.3)
        assert len(client.serving._server.server_state.connections) <= 20
    finally:
        for sock in socks:
            sock.close()
    time.sleep(0.3)
    assert client.get("/api/runs")[0] == 200


def test_a_failure_of_the_server_tells_no_details(client, monkeypatch, caplog):
    monkeypatch.setattr(client.dashboard, "data", lambda: 1 / 0)
    found, answer = client.get("/api/runs")
    assert found == 500 and "division" not in answer["error"]
    deadline = time.monotonic() + 10
    while not caplog.text and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "division" in caplog.text and client.token not in caplog.text


def test_an_export_can_be_read_by_others_as_any_new_folder(fresh, tmp_path):
    fresh.post(f"{MEMBER}/m01/export", {"name": "x"})
    probe = tmp_path / "probe"
    probe.mkdir()
    assert (tmp_path / "exports" / "x").stat().st_mode == probe.stat().st_mode

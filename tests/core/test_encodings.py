"""Every encoding that people's files have: the same letters, and what was taken for granted is said."""

import io
import os

import pytest

from autocomp.encodings import decode, read_lines
from autocomp.errors import DataError

WESTERN = "it’s “fine” – for 5€, café…\nsecond line\n"
CHINESE = "文本,标签\n" + "这部电影很好看,好\n" * 20


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "read as UTF-16-LE, as its first bytes say"),
        ("utf-32", "read as UTF-32-LE, as its first bytes say"),
        ("utf-16-le", "read as UTF-16-LE: no byte order mark"),
        ("utf-16-be", "read as UTF-16-BE: no byte order mark"),
        ("cp1252", "not UTF-8, read as cp1252"),
    ],
)
def test_the_letters_do_not_depend_on_the_encoding(codec, said):
    text, note = decode(WESTERN.encode(codec), "f")
    assert text == WESTERN
    assert note.startswith(said) and bool(note) == bool(said)


@pytest.mark.parametrize("order", ["be", "le"])
@pytest.mark.parametrize("width", [16, 32])
def test_marks_of_both_orders(width, order):
    codec = f"utf-{width}-{order}"
    assert decode(f"\ufeff{CHINESE}".encode(codec), "f") == (
        CHINESE,
        f"read as {codec.upper()}, as its first bytes say",
    )


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_by_its_commas_where_no_letter_is_ascii(codec):
    assert decode(CHINESE.encode(codec), "f")[0] == CHINESE


def test_a_few_nul_bytes_do_not_make_a_file_utf_16():
    for data in (b"text,label\na\0b,1\n", b"a\0\nb\n", b"a\nb\0", "é\0\n".encode()):
        assert decode(data, "f") == (data.decode(), "")


def test_undefined_bytes_of_cp1252_are_latin_1():
    assert decode(b"\x93caf\xe9\x94 \x81\n", "f")[0] == "“café” \x81\n"


def test_capitals_before_quotes_are_no_utf_8():
    # C9 93 is one letter in UTF-8, and É“ in cp1252
    assert decode("CAFÉ“ é è à\n".encode("cp1252"), "f")[0] == "CAFÉ“ é è à\n"


def test_single_wrong_bytes_in_utf_8_leave_the_rest_as_it_is():
    text, note = decode("é è à ü\n".encode() + b"5\x80\n", "f")
    assert text == "é è à ü\n5€\n"
    assert note == "1 bytes are not UTF-8, though the rest is: read as cp1252"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("Этот фильм мне очень понравился, и всё тут\n".encode("cp1251"), "f: line 1 is not UTF-8, and too many"),
        (
            ("1,https://example.org/a/long/path?x=1,хорошо\n" * 20).encode("cp1251"),
            "f: line 1 is not UTF-8, and too many",
        ),
        (b"a\n" + CHINESE.encode("gb18030"), "f: line 2 is not UTF-8, and too many of its letters.*iconv"),
        (b"caf\xe9\0 \0\0x\n", "there are NUL bytes, but it is not UTF-16 either"),
        (b"\xff\xfea\0b", "begins as UTF-16-LE but byte 2 is not"),
        (b"PK\x03\x04abc", "f: must be a text file, but is a ZIP or Excel"),
        (b"\x1f\x8b\x08abc", "but is gzipped"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_way_out(data, said):
    with pytest.raises(DataError, match=said):
        decode(data, "f")


def lines(data):
    said = []
    return list(read_lines(io.BufferedReader(io.BytesIO(data)), "f", said.append)), said


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_lines_in_every_encoding(codec):
    found, said = lines("“a”\r\nb\r\n\r\né".encode(codec))
    assert found == ["“a”", "b", "", "é"]
    assert len(said) == (codec not in ("utf-8", "utf-8-sig"))


def test_only_line_feeds_end_lines_unless_there_are_none():
    assert lines("a\rb\n\u2028c\nd\u0085e\n\x0cf\n".encode())[0] == ["a\rb", "\u2028c", "d\u0085e", "\x0cf"]
    assert lines(b"a\rb\rc\r")[0] == ["a", "b", "c"]
    assert lines(b"")[0] == []


def test_a_wrong_byte_far_down_is_told_once():
    found, said = lines(b"a\n" * 100_000 + b"caf\xe9\n\x93b\x94\n")
    assert found[-2:] == ["café", "“b”"]
    assert said == ["line 100001 is not UTF-8: its other bytes are read as cp1252"]


def test_lines_come_before_the_pipe_ends():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as opened, os.fdopen(writing, "wb", 0) as sent:
        sent.write(b"first\n")
        found = read_lines(opened, "f", print)
        assert next(found) == "first"
        sent.write(b"second\n")
        assert next(found) == "second"
        found.close()

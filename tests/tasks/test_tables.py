"""CSV and TSV in the dialects that people have."""

import csv
import io

import pytest

from autocomp.errors import DataError
from autocomp.tasks._tables import read_delimited

TEXTS = [
    'he said "x, y", then left',
    'he said "x" and left',
    '"all"',
    "C:\\new\\",
    "a\nb",
    "plain",
    'ends in "q"',
    "NA",
]


def read(text, tabs=False):
    notes = []
    table = read_delimited(text, "f", tabs, notes)
    return {name: table[name] for name in table.column_names}, notes


def written(texts, **form):
    out = io.StringIO()
    table = csv.writer(out, **form)
    table.writerows([("text", "label"), *((text, "ab"[i % 2]) for i, text in enumerate(texts))])
    return out.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_doubled_quotes(separator, quoting, end):
    texts = [text.replace("\n", end) for text in TEXTS]
    found, _ = read(written(texts, delimiter=separator, quoting=quoting, lineterminator=end))
    assert found["text"] == texts
    assert found["label"] == list("abababab")


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], TEXTS[1:2], TEXTS[1:4], TEXTS[6:]])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_escaped_quotes(texts, quoting):
    found, notes = read(written(texts, escapechar="\\", doublequote=False, quoting=quoting))
    assert found["text"] == texts
    assert notes == ['quotes inside texts are read as written \\"']


def test_escaped_separators_without_quotes_and_nulls_of_mysql():
    found, _ = read("text,label\na\\, b,x\nC:\\new,\\N\n")
    assert found == {"text": ["a, b", "C:\\new"], "label": ["x", None]}


def test_backslashes_beside_doubled_quotes_are_letters():
    text = 'text,label\n"C:\\",a\n"a \\""b\\"" c",b\n"D:\\",a\n'
    assert read(text)[0]["text"] == ["C:\\", 'a \\"b\\" c', "D:\\"]


def test_quotes_that_no_rule_of_csv_closes():
    found, notes = read('text,label\n"a, b",x\n"c" d,y\n')
    assert found["text"] == ["a, b", "c d"]
    assert notes == ["quotes are not closed by the rules of CSV"]
    assert read('text,label\n"Hm" he said,x\nb "c,y\n')[0]["text"] == ['"Hm" he said', 'b "c']


def test_an_open_quote_never_swallows_rows_in_silence():
    rows = "".join(f"t {i},x\n" for i in range(9))
    found, _ = read(f'text,label\n"open,a\n{rows}')
    assert len(found["text"]) == 10
    with pytest.raises(DataError, match="quote the texts, with quotes inside them doubled"):
        read(f'text,label\n"open, and comma,a\n{rows}"also, open,b\n')


def test_tabs_with_plain_quotes():
    found, _ = read('text\tlabel\n"open\ta\nan inch is 1"\tb\n', tabs=True)
    assert found["text"] == ['"open', 'an inch is 1"']


def test_trailing_separators_and_short_rows():
    assert read("text,label\na,x,\nb,y,,\n")[0] == {"text": ["a", "b"], "label": ["x", "y"]}
    assert read("text,label,\na,x,\n")[0]["label"] == ["x"]
    found, notes = read("text,label\na,x\nb\n\nc,y\n")
    assert found == {"text": ["a", "b", "c"], "label": ["x", None, "y"]}
    assert notes == ["1 rows have fewer cells than the header; the missing ones are empty"]


def test_separators_are_found_and_told():
    assert read("text|label\na, b; c|x\n")[0]["text"] == ["a, b; c"]
    assert read("text|label\na|x\n")[1] == ["cells are separated by '|'"]
    assert read("sep=;\r\ntext;label\r\na,b;x\r\n")[0] == {"text": ["a,b"], "label": ["x"]}


def test_a_cell_may_be_large():
    assert len(read(f"text,label\n{'the ' * 50_000},x\n")[0]["text"][0]) == 200_000
    assert csv.field_size_limit() == 131_072


def test_the_row_that_does_not_fit_is_named():
    with pytest.raises(
        DataError, match="the header has 2 columns but the row that ends in line 3 has 3; quote the texts"
    ):
        read("text,label\na,x\nb,c,y\n")

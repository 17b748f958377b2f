import itertools

import numpy as np
import pytest
import torch

from autocomp.tasks import Example
from autocomp.techniques.vocabulary import shrink_vocabulary
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training import batches as batches_module
from autocomp.training.batches import BUCKET, PADDING, Encoded, Unread, collate, encode, in_order, shuffled


def one(text: str, pair: str | None = None) -> list[Example]:
    return [Example(text, pair, 0)]


def lengths_only(lengths) -> Encoded:
    arrays = [np.zeros(n, np.int64) for n in lengths]
    return Encoded(arrays, arrays, arrays, np.zeros(len(arrays), np.int64))


def words_of(student, text, pair=None) -> dict[int, str]:
    """The text behind each unit."""
    data = encode(student, one(text, pair))
    found: dict[int, str] = {}
    for unit, token in zip(data.units[0].tolist(), data.ids[0].tolist(), strict=True):
        found[unit] = found.get(unit, "") + student.tokenizer.id_to_token(token).removeprefix("##")
    return found


@pytest.fixture
def both():
    """A teacher, and a student of the fewest pieces: most words are cut into characters."""
    teacher = random_student(pairs=False)
    return teacher, shrink_vocabulary(teacher, 195, {})


def test_units_are_the_same_words_whatever_the_vocabulary(both):
    teacher, student = both
    text = "the great film, unforgettable"
    assert len(encode(student, one(text)).ids[0]) > len(encode(teacher, one(text)).ids[0])
    assert words_of(student, text) == words_of(teacher, text)
    assert set(words_of(student, text).values()) == {"[CLS]", "[SEP]", "the", "great", "film", ",", "unforgettable"}


def test_cutting_a_text_moves_no_unit(both):
    teacher, student = both
    text = " ".join(["great films were made before"] * 4)
    student.max_length = 40
    whole, cut = words_of(teacher, text), words_of(student, text)
    assert 3 < len(cut) < len(whole)
    last = max(cut)
    assert {u: w for u, w in cut.items() if u != last}.items() <= whole.items()
    assert whole[last].startswith(cut[last])


def test_cutting_one_text_of_a_pair_moves_no_unit_of_the_other():
    teacher = random_student(pairs=True)
    student = shrink_vocabulary(teacher, 195, {})
    student.max_length = 36
    given = ("great films were made before they were called films", "good film")
    whole, cut = words_of(teacher, *given), words_of(student, *given)
    assert len(cut) < len(whole)
    assert [u for u in cut if u in whole and not whole[u].startswith(cut[u])] == []
    assert list(cut.values()).count("[SEP]") == 2 and "good" in cut.values()
    assert len(whole) == len(set(whole)) == 9 + 2 + 3


def test_encoding_cuts_to_the_students_length_and_leaves_the_tokenizer_alone(both):
    teacher, _ = both
    teacher.max_length = 8
    data = encode(teacher, [Example("the film was good " * 9, None, 1), Example("bad", None, 0)])
    assert data.lengths.tolist() == [8, 3]
    assert data.targets.tolist() == [1, 0]
    assert teacher.tokenizer.truncation is None


def test_cutting_the_beginning_of_a_text_moves_no_unit(both):
    teacher, student = both
    text = "great films were made before, " * 3 + "unforgettable"
    student.max_length, student.truncation_side = 30, "left"
    whole, cut = words_of(teacher, text), words_of(student, text)
    assert 3 < len(cut) < len(whole) and cut[max(cut)] == "unforgettable"
    assert all(whole[unit].endswith(word) for unit, word in cut.items())


def test_batches_are_padded_on_the_right():
    student = random_student(pairs=True)
    data = encode(student, [Example("good", "bad film", 1), Example("the film was good", "bad", 0)])
    batch = collate(student, data, [1, 0])
    assert batch.rows.tolist() == [1, 0] and batch.targets.tolist() == [0, 1]
    assert batch.mask.tolist() == [[1] * 8, [1] * 6 + [0] * 2]
    assert batch.ids[1].tolist() == [*data.ids[0].tolist(), 0, 0]
    assert batch.units[1, 6:].tolist() == [-1, -1]
    assert batch.types[0].tolist() == [0] * 6 + [1] * 2
    assert collate(random_student(), data, [0]).types is None, "single texts need no types"


def test_in_order_covers_each_row_once_shortest_first():
    data = lengths_only([5, 3, 9, 3, 7])
    assert in_order(data, 2) == [[1, 3], [0, 4], [2]]


def test_in_order_pads_no_batch_to_a_much_longer_text():
    lengths = [*np.random.default_rng(0).integers(5, 20, 200).tolist(), 90, 110]
    batches = in_order(lengths_only(lengths), 64)
    assert sorted(row for batch in batches for row in batch) == list(range(202))
    assert all(max(lengths[r] for r in b) * len(b) - sum(lengths[r] for r in b) <= PADDING for b in batches)
    padded = sum(max(lengths[r] for r in b) * len(b) for b in batches)
    assert padded < 1.2 * sum(lengths), "all in one batch: nine times as many"
    assert len(batches) < 20, "and a batch is not one text"


@pytest.mark.parametrize(("rows", "size"), [(1, 4), (10, 4), (260, 4), (96, 32)])
def test_each_epoch_holds_each_row_once(rows, size):
    data = lengths_only(np.random.default_rng(0).integers(3, 60, rows))
    batches = shuffled(data, size, np.random.default_rng(1))
    for _ in range(3):
        epoch = list(itertools.islice(batches, -(-rows // size)))
        assert sorted(itertools.chain(*epoch)) == list(range(rows))
        assert max(map(len, epoch)) <= size


def test_batches_are_of_similar_length_and_their_order_is_random():
    lengths = np.random.default_rng(0).integers(3, 128, 1000)
    epoch = list(itertools.islice(shuffled(lengths_only(lengths), 10, np.random.default_rng(1)), 100))
    padding = sum(lengths[b].max() * len(b) for b in epoch) / lengths.sum()
    assert padding < 1.15, "less than a sixth is padding; without buckets it is nearly half"
    means = [lengths[b].mean() for b in epoch]
    assert abs(np.corrcoef(means, range(100))[0, 1]) < 0.4, "short texts do not come first"


def test_the_generator_decides_the_batches():
    data = lengths_only(range(3, 53))
    first, second, other = (list(itertools.islice(shuffled(data, 8, np.random.default_rng(s)), 20)) for s in (1, 1, 2))
    assert first == second != other


def test_texts_are_tokenised_when_they_are_read_and_only_then(monkeypatch):
    student, asked = random_student(), []
    examples = [Example("good " * (1 + row % 7), None, row % 2) for row in range(300)]
    whole, unread = encode(student, examples), Unread(student, examples)
    monkeypatch.setattr(batches_module, "encode", lambda *args: asked.append(len(args[1])) or encode(*args))
    pairs = zip(*(shuffled(data, 4, np.random.default_rng(0)) for data in (whole, unread)), strict=True)
    for number, (expected, rows) in enumerate(itertools.islice(pairs, 160)):
        assert rows == expected
        found = (vars(collate(student, data, rows)).values() for data in (whole, unread))
        assert all(one is other is None or torch.equal(one, other) for one, other in zip(*found, strict=True))
        if number == 3:
            assert asked == [4 * BUCKET], "a bucket, not the split"
    assert sum(asked) == 300, "each once, in more than two epochs"


def test_padding_changes_no_logits():
    student = random_student(tiny_shape())
    data = encode(student, [Example("good", None, 1), Example("the film was not that good for me", None, 0)])
    alone, together = collate(student, data, [0]), collate(student, data, [0, 1])
    with torch.no_grad():
        expected = student.encoder(alone.ids, alone.mask).logits[0]
        torch.testing.assert_close(student.encoder(together.ids, together.mask).logits[0], expected)

import pytest

from autocomp.errors import ArtifactError
from autocomp.measures.artifact_size import artifact_size


def test_size_is_the_bytes_of_the_three_files(tmp_path):
    for name, size in (("model.onnx", 100), ("tokenizer.json", 20), ("manifest.json", 3), ("notes.txt", 1000)):
        (tmp_path / name).write_bytes(b"x" * size)
    size = artifact_size(tmp_path)
    assert (size.value, size.unit, size.spread) == (123.0, "bytes", None)
    assert size.details == {"model.onnx": 100.0, "tokenizer.json": 20.0, "manifest.json": 3.0}


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        artifact_size(tmp_path)

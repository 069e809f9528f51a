"""Files of models that are uploaded: none takes another one's place unseen."""

from io import BytesIO

from dfml.ui.zoo.model_files import ModelFiles


class Upload(BytesIO):
    """What streamlit hands over."""

    def __init__(self, name, data, file_id):
        super().__init__(data)
        self.name, self.size, self.file_id = name, len(data), file_id


def test_a_second_file_of_one_name_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_RUNS", str(tmp_path))
    files, seen = ModelFiles(), set()
    assert files.take([Upload("model.safetensors", b"one", "1")], seen) == []
    (line,) = files.take([Upload("model.safetensors", b"two", "2")], seen)
    assert "replaces" in line and [path.read_bytes() for path in files.paths()] == [b"two"]

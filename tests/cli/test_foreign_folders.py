"""A command writes into a new folder, an empty one, or one that it wrote itself; never over what others left."""

import pytest

from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import MetaModel, new_meta_model

WRITERS = {
    "export": "export --model MODEL",
    "export onnx": "export --model MODEL --format onnx",
    "export hf": "export --model MODEL --format hf",
    "export web": "export --model MODEL --format web",
    "similarity": "zoo similarity ZOO",
    "merge": "zoo merge ZOO cifar-fs-conv4",
    "import": "zoo import ZOO/000",
    "pollute": "zoo pollute ZOO --attack fake",
    "pretrain": "zoo pretrain --data DATA --models 1 --way 2",
    "get": "data get omniglot",
    "sample": "data sample DATA --name cifar-fs",
    "train": "train --zoo ZOO --method random",
    "invert": "invert --zoo ZOO",
    "speed": "bench speed --quick",
    "sinusoid": "bench sinusoid",
    "scale": "bench scale --work WORK",
    "waiting": "bench waiting --work WORK",
    "inversion": "bench inversion --zoo ZOO",
    "curve": "bench curve --zoo ZOO --teachers 1 --work WORK",
    "accuracy": "bench accuracy --work WORK --zoo ZOO --data DATA --methods random",
}
THEIRS = (
    "README.md", "config.json", "dfml.json", "model.safetensors", "zoo.json", "sample.json", "speed.md", "sinusoid.md",
    "scale.md", "waiting.md", "inversion-tiny-demo.md", "curve-tiny-demo.md", "accuracy-tiny-demo.md", "similarity.csv",
    "notes/a.txt",
)  # fmt: skip


@pytest.fixture
def model(tmp_path):
    """A saved meta-model."""
    learner = make_learner("maml", LearnerConfig())
    new = new_meta_model("fewshot_conv4", shape=(3, 32, 32), way=5, mean=[0.5], std=[0.2], learner=learner, width=4)
    new.save(tmp_path / "model")
    return tmp_path / "model"


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_what_somebody_keeps_in_a_folder_is_never_written_over(name, dfml, model, tiny_zoo_folder, patterns, tmp_path):
    out = tmp_path / "project"
    (out / "notes").mkdir(parents=True)
    for file in THEIRS:
        (out / file).write_text(f"mine: {file}")
    before = content(out)
    places = {"MODEL": model, "ZOO": tiny_zoo_folder, "DATA": patterns, "ZOO/000": tiny_zoo_folder / "000"}
    places["WORK"] = tmp_path / "work"
    words = [str(places.get(word, word)) for word in WRITERS[name].split()]
    target = out / "README.md" if name == "export onnx" else out
    called = dfml(*words, "--out", target)
    assert called.code == 2, called.err
    assert str(out) in called.err
    assert content(out) == before


def test_an_export_is_repeated_but_a_changed_one_is_kept(dfml, model, tmp_path):
    words = ("export", "--model", model, "--out", tmp_path / "out")
    assert dfml(*words).code == 0
    assert dfml(*words).code == 0
    (tmp_path / "out" / "README.md").write_text("# My model")
    assert dfml(*words).code == 2
    assert (tmp_path / "out" / "README.md").read_text() == "# My model"
    assert dfml(*words, "--overwrite").code == 0
    assert MetaModel.load(tmp_path / "out").details
    (tmp_path / "out" / "photo.jpg").write_bytes(b"x")
    assert dfml(*words).code == 2
    assert dfml(*words, "--overwrite").code == 0
    assert (tmp_path / "out" / "photo.jpg").exists()

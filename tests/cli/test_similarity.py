"""``zoo similarity``: groups, matrix and files of a tiny zoo."""

import json
from xml.etree import ElementTree

SMALL = ["recovered_per_class=2", "inversion_steps=2", "latent=8", "generator_width=8"]


def test_a_zoo_is_compared_and_what_was_made_is_kept(dfml, tiny_zoo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    words = ["zoo", "similarity", str(tiny_zoo_folder), "--jobs", "1", "--device", "cpu"]
    words += [word for pair in SMALL for word in ("--set", pair)]
    found = json.loads(dfml(*words, "--out", str(tmp_path / "out"), "--json").out.splitlines()[-1])
    assert found["ids"] == ["000", "001", "002"] and set(found["groups"]) == set(found["ids"])
    matrix = found["similarity"]
    assert all(matrix[i][i] == 1 and matrix[i][j] == matrix[j][i] for i in range(3) for j in range(3))
    assert len(found["places"]["000"]) == 2 and found["kept_seconds"] > 0 and "embedded probe" in found["text"]
    assert json.loads((tmp_path / "out" / "similarity.json").read_text()) == found
    lines = (tmp_path / "out" / "similarity.csv").read_text().splitlines()
    assert lines[0] == "teacher,group,000,001,002" and len(lines) == 4
    picture = ElementTree.parse(tmp_path / "out" / "similarity.svg")  # noqa: S314 - our own file
    told = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert told[0] == f"Teachers of {tiny_zoo_folder.name}" and "teacher 000, group 1" in told
    assert f"001 and 002: {matrix[1][2]:.3f}" in told and len(told) == 1 + 3 + 6
    kept = sorted((tmp_path / "cache").rglob("*.safetensors"))
    again = dfml(*words)
    assert again.code == 0 and "1 group of dissimilar teachers" in again.out and "000 001 002" in again.out
    assert sorted((tmp_path / "cache").rglob("*.safetensors")) == kept
    assert dfml(*words, "--by", "colour").code == 2


def test_the_paper_s_groups_wait_for_the_paper_s_probe(dfml, tiny_zoo_folder, tmp_path):
    words = ["train", "--method", "tgr", "--preset", "paper", "--zoo", str(tiny_zoo_folder)]
    told = dfml(*words, "--out", str(tmp_path / "run"))
    assert told.code == 2 and "ResNet-34" in told.err and "probe" in told.err and "\n" not in told.err.strip()
    assert not list(tmp_path.rglob("*.safetensors"))


def test_generated_images_become_a_data_set(dfml, tmp_path):
    words = ["data", "textures", str(tmp_path / "made"), "--classes", "2", "--per-class", "3", "--size", "16"]
    assert dfml(*words).code == 0 and len(list((tmp_path / "made").rglob("*.png"))) == 6
    assert dfml(*words).code == 2, "what is there is not written over"

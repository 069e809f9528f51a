import json

import pytest

from dfml.core.errors import BadInput
from dfml.meta.model import MetaModel
from tests.meta.small import tiny_model


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("dfml.json", lambda c: [1], "no meta-model"),
        ("dfml.json", lambda c: c.pop("learner") and c, "learner"),
        ("dfml.json", lambda c: c.pop("learner_config") and c, "learner_config"),
        ("dfml.json", lambda c: {**c, "learner": "mamml"}, "Did you mean 'maml'"),
        ("dfml.json", lambda c: {**c, "learner_config": {"inner_lr": -1}}, "inner_lr"),
        ("dfml.json", lambda c: {**c, "adapt_steps": "many"}, "adapt_steps"),
        ("dfml.json", lambda c: {**c, "adapt_steps": 10**9}, "adapt_steps"),
        ("config.json", lambda c: {**c, "pretrained_cfg": {}}, "mean None, expected 3 numbers"),
        ("config.json", lambda c: {**c, "pretrained_cfg": {"mean": [0, 0], "std": [1, 1, 1]}}, "expected 3 numbers"),
        ("config.json", lambda c: {**c, "pretrained_cfg": {"mean": [0, 0, 0], "std": [1, 0, 1]}}, "std"),
    ],
)
def test_a_damaged_model_folder_is_one_clear_line(tmp_path, file, change, says):
    tiny_model().save(tmp_path / "m")
    path = tmp_path / "m" / file
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(BadInput, match=says) as caught:
        MetaModel.load(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_a_model_without_its_number_of_classes_in_the_arguments_takes_the_configs(tmp_path):
    tiny_model().save(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    del config["model_args"]["num_classes"]
    path.write_text(json.dumps(config))
    assert MetaModel.load(tmp_path / "m").way == 5


def test_a_loaded_model_saved_with_another_adaptation_keeps_the_new_one(tmp_path):
    tiny_model("maml").save(tmp_path / "m", {"method": "random"})
    MetaModel.load(tmp_path / "m").with_adaptation("anil", lr=0.5, steps=7).save(tmp_path / "again")
    again = MetaModel.load(tmp_path / "again")
    assert (again.learner.name, again.learner.config.inner_lr, again.adapt_steps) == ("anil", 0.5, 7)
    assert again.details["method"] == "random"


def test_a_model_card_takes_no_markup_from_a_foreign_name():
    from dfml.meta.model import model_card

    evil = "![m](http://evil.example/m.png)\n# h <b>"
    card = {"method": evil, "zoo": evil, "side_information": [evil], "learner": "maml", "adapt_steps": 3}
    text = model_card({**card, "learner_config": {"inner_lr": 0.1}})
    assert "![m]" not in text and "\n# h" not in text and " <b>" not in text

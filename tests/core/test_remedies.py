import json
import re

import pytest

from dfml.core.paths import REPOSITORY
from dfml.core.remedies import PROGRAMS
from dfml.meta.stored import is_untouched_model, model_card


def test_what_a_person_reads_takes_the_program_s_name_from_one_place():
    files = [*(REPOSITORY / "dfml").rglob("*.py"), *(REPOSITORY / "pages").glob("*.py"), REPOSITORY / "app.py"]
    assert [f.name for f in files if re.search(r"python -m dfml [a-z-]", f.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_export_is_known_again_by_a_program_of_another_name(tmp_path, program):
    card = {"kind": "meta-model", "learner": "maml", "learner_config": {"inner_lr": 0.01}, "adapt_steps": 10}
    (tmp_path / "dfml.json").write_text(json.dumps(card))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    readme = model_card(card, program)
    (tmp_path / "README.md").write_text(readme)
    assert f"`{program} adapt " in readme and is_untouched_model(tmp_path)
    (tmp_path / "README.md").write_text(readme + "mine")
    assert not is_untouched_model(tmp_path)

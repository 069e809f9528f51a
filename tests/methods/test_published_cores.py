"""Each published method reads like its page's algorithm box, and needs nothing of what is ours."""

import ast
import hashlib
import importlib
import json
import re
import subprocess
import sys

import pytest
import torch

from dfml.core.paths import REPOSITORY

CORES = ("dro", "purer", "bidf-mkd", "teapot", "free", "tgr")
OURS = ("dfml.training.ours", "dfml.inversion.consensus", "dfml.tasks.consensus_cache", "dfml.meta.multi_teacher")
OFF = {
    "init": "random", "consensus": 0, "panel": 0, "augment": False, "decay": False, "reward": "accuracy",
    "student": "head", "align": "none", "warm_start": 0,
}  # fmt: skip
SIZES = {
    "width": 8, "test_steps": 1, "iterations": 2, "tasks": 1, "shot": 1, "query": 2, "inner_steps": 1,
    "validation_episodes": 2, "watched_episodes": 2, "epochs": 1, "embedding": 4, "recovered_per_class": 3,
    "query_per_class": 2, "inversion_steps": 2, "query_inversion_steps": 2, "five_steps": 2, "q": 2, "latent": 8,
    "generator_width": 8, "warm_up": 1, "patience": 1, "generate_interval": 1, "boundary_after": 1,
    "teachers": 2, "asked": 2, "visits": 4, "embed_visits": 1, "groups": 2, "replay_limit": 2,
    "probe": "procedural",
}  # fmt: skip
WITHOUT_OURS = """
import json, sys, types
for name in {ours}:
    sys.modules[name] = None
# The package imports every method, also the baselines that are ours.
package = types.ModuleType("dfml.methods")
package.__path__ = [{folder}]
sys.modules["dfml.methods"] = package
import torch
from tests.methods.test_published_cores import CORES, trained
torch.set_num_threads({threads})
print(json.dumps({{name: trained(name, {zoo}, {data}) for name in CORES}}))
"""


def trained(name, zoo, data):
    """A hash of the weights that two steps of a published core give."""
    from dfml.training.context import Training
    from dfml.training.method import METHODS
    from dfml.zoo import open_zoo

    importlib.import_module(f"dfml.methods.{name.replace('-', '_')}")
    method = METHODS.get(name)
    changes = {key: value for key, value in {**SIZES, **OFF}.items() if key in method.Config.model_fields}
    generator = torch.Generator().manual_seed(0)
    training = Training(open_zoo(zoo), data=data, device=torch.device("cpu"), generator=generator)
    *_, last = method(method.preset("paper").override(changes)).train(training)
    found = hashlib.sha256()
    for key, value in last.result.net.state_dict().items():
        found.update(key.encode() + value.numpy().tobytes())
    return found.hexdigest()


def test_the_published_cores_train_alike_where_nothing_of_ours_can_be_imported(tiny_zoo_folder, patterns):
    places = {"zoo": repr(str(tiny_zoo_folder)), "data": repr(str(patterns)), "ours": repr(OURS)}
    folder = repr(str(REPOSITORY / "dfml" / "methods"))
    code = WITHOUT_OURS.format(**places, folder=folder, threads=torch.get_num_threads())
    alone = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    told = json.loads(alone.stdout.splitlines()[-1])
    assert told == {name: trained(name, str(tiny_zoo_folder), str(patterns)) for name in CORES}


@pytest.mark.parametrize("name", [*CORES, "distill"])
def test_a_method_opens_with_its_page_s_algorithm_box_and_takes_its_steps_in_order(name):
    page = (REPOSITORY / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
    box = re.search(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]
    source = (REPOSITORY / "dfml" / "methods" / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source), clean=False).strip() == box.strip()
    steps = re.findall(r"^(\d)\. ", box, re.MULTILINE)
    comments = " ".join(re.findall(r"^ +# (\d\. .*)$", source, re.MULTILINE))
    assert list(dict.fromkeys(re.findall(r"(?<!\S)(\d)\. ", comments))) == steps

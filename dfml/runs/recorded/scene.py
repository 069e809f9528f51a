"""What Home tells of the ready models before torch is loaded: their answers on an example set, computed once."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dfml.core.config import Count, Record, Share, Text
from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, read_json, write_json
from dfml.data.class_folders import list_classes
from dfml.runs.recorded import RECORDED, ready_models

SET, SHOWN = "living-things", "purer"
HOW, BN = "centroid", "inductive"
"""All models adapt in the same way, the one that the Adaptation page begins with."""
SCENE = "scene.json"


class Answers(Record):
    """Right answers of one model, of so many."""

    right: Count
    of: Annotated[int, Field(ge=1)]

    @property
    def share(self) -> float:
        """Of the images, in [0, 1]."""
        return self.right / self.of


class Query(Record):
    """One image, below the assets, its class, and what the model that is shown takes it for, how surely."""

    picture: Text
    label: Text
    said: Text
    probability: Share


class Scene(Record):
    """Answers on an example set by each ready model's name, and each answer of the model ``shown``."""

    set: Text
    how: Text
    bn: Text
    shots: Count
    classes: list[Text]
    models: dict[Text, Answers]
    shown: Text
    queries: list[Query]


def read_scene(root: Path | None = None) -> Scene | None:
    """Return the scene that ships, or that of another ``root``; None where there is none."""
    try:
        return Scene.model_validate(read_json((root or RECORDED) / SCENE, "scene", most=2**20))
    except (BadInput, ValueError):
        return None


def measure_scene(models: list[Path] | None = None) -> dict[str, Any]:
    """Let the models (by default all that ship) adapt to the example set; return what ``scene.json`` holds."""
    import torch

    from dfml.data.pictures import open_picture, to_tensor
    from dfml.meta.adaptation import adapt
    from dfml.meta.model import MetaModel

    folder = ASSETS / "support-sets" / SET
    support, query = (list_classes(folder / part).classes for part in ("support", "query"))
    names = list(support)
    # Classes take turns, so that the first few show all of them.
    turns = zip_longest(*([(name, file) for file in query[name]] for name in names))
    asked = [pair for turn in turns for pair in turn if pair]
    answers: dict[str, Any] = {}
    queries: list[dict[str, Any]] = []
    for path in ready_models() if models is None else models:
        model = MetaModel.load(path)
        channels, size, _ = model.input_size

        def tensors(files: list[Path], size: int = size, channels: int = channels) -> torch.Tensor:
            return torch.stack([to_tensor(open_picture(file), size=size, channels=channels) for file in files])

        found = adapt(
            model,
            torch.cat([tensors(files) for files in support.values()]),
            torch.cat([torch.full((len(files),), place) for place, files in enumerate(support.values())]),
            tensors([file for _, file in asked]),
            class_names=names,
            bn=BN,
            how=HOW,
        )
        said = found.probabilities.argmax(1).tolist()
        right = [names[place] == name for place, (name, _) in zip(said, asked, strict=True)]
        answers[path.name] = {"right": sum(right), "of": len(asked)}
        if path.name == SHOWN:
            sure = found.probabilities.max(1).values.tolist()
            queries = [
                {"picture": file.relative_to(ASSETS).as_posix(), "label": name, "said": names[place], "probability": p}
                for (name, file), place, p in zip(asked, said, sure, strict=True)
            ]
    shots = len(next(iter(support.values())))
    about = {"set": SET, "how": HOW, "bn": BN, "shots": shots, "classes": names}
    return {**about, "models": answers, "shown": SHOWN, "queries": queries}


def write_scene(root: Path) -> None:
    """Measure the models of ``root/models`` and write the scene beside the recorded runs."""
    folders = sorted(path for path in (root / "models").iterdir() if (path / "dfml.json").is_file())
    write_json(root / "recorded" / SCENE, measure_scene(folders))

"""What to cite for a run: this software in the version that did it, and the papers of all that it used."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.papers import PAPERS, software
from dfml.core.paths import read_json
from dfml.runs.folder import START, RunFolder
from dfml.zoo.listing import DETAILS


def bibtex_of(run: RunFolder) -> str:
    """BibTeX entries: the software, then the papers of method, inverter and learner, each once.

    Where a training started from another's result, or teachers were to disagree with one, the papers of that one's
    methods stand there, too.

    Raises:
        BadInput: The run cannot be read.
    """
    spec = run.spec
    keys = dict.fromkeys(key for used in _used(run) for key in used.papers)
    entries = [PAPERS[key].bibtex(key) for key in keys]
    return "\n\n".join([software(spec.versions.get("dfml", "unknown"), spec.git), *entries]) + "\n"


def _used(run: RunFolder) -> Iterator[Any]:
    """The registered classes that a run used; those that this version does not know are passed over."""
    from dfml.inversion import INVERTERS
    from dfml.methods import METHODS

    spec = run.spec
    trained = [spec.method] if spec.kind == "train" else []
    if spec.kind == "invert" and spec.method in INVERTERS:
        yield INVERTERS.get(spec.method)
    if spec.kind == "train" and spec.start:
        trained += _methods_behind(run.path / START)
    if spec.kind == "invert" and spec.against:
        trained += _methods_behind(Path(spec.against))
    for name in trained:
        if name in METHODS:
            method = METHODS.get(name)
            yield method
            if method.inverter:
                yield INVERTERS.get(method.inverter)
    learner = spec.kind == "train" and spec.config.get("learner")
    if isinstance(learner, str):
        from dfml.meta.learners import LEARNERS  # only here: they need PyTorch, the others do not

        if learner in LEARNERS:
            yield LEARNERS.get(learner)


def _methods_behind(model: Path) -> list[str]:
    """The methods that made the meta-model in a folder, the newest first; none where it is gone."""
    with suppress(BadInput, AttributeError, TypeError):  # a card that somebody changed
        card = read_json(model / DETAILS, "the model")
        return [str(name) for name in (card.get("method"), *reversed((card.get("start") or {}).get("methods", [])))]
    return []

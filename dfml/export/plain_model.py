"""The model of an exported folder, in plain PyTorch: its source becomes part of ``modeling.py`` beside the weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.func import functional_call

from dfml.data.pictures import fit_picture
from dfml.meta.adaptation import fit_head
from dfml.meta.learners import class_means, squared_distances
from dfml.nets.backbones import Conv4, FewShotResNet
from dfml.nets.norm import Statistics, recorded_statistics, supplied_statistics

NETWORKS = {
    "fewshot_conv4": (Conv4, {}),
    "fewshot_resnet10": (FewShotResNet, {"depth": 10}),
    "fewshot_resnet12": (FewShotResNet, {"depth": 12}),
    "fewshot_resnet18": (FewShotResNet, {"depth": 18}),
}


class FewShotModel(nn.Module):
    """A meta-model: ``adapt`` makes a classifier of a few labelled images.

    ``classes`` are those that it was adapted to before it was exported, else empty; then ``classify`` needs no
    support set.
    """

    def __init__(self, config: dict[str, Any], card: dict[str, Any]) -> None:
        super().__init__()
        made, extra = NETWORKS[config["architecture"]]
        self.args, cfg = {**config["model_args"], "bn": "batch"}, config["pretrained_cfg"]
        self.net = made(**self.args, **extra)
        self.channels, self.size = self.args.get("in_chans", 3), self.args["img_size"]
        self.mean, self.std = (torch.tensor(cfg[part]).view(1, -1, 1, 1) for part in ("mean", "std"))
        self.learner, self.steps = card["learner"], card["adapt_steps"]
        self.lr = card["learner_config"]["inner_lr"]
        self.classes: list[str] = (card.get("adapted") or {}).get("classes") or []
        self.statistics: Statistics | None = None

    @classmethod
    def load(cls, folder: str | Path = ".") -> Self:
        """Read the folder that this file lies in."""
        config, card = (json.loads(Path(folder, name).read_text("utf-8")) for name in ("config.json", "dfml.json"))
        model = cls(config, card)
        model.net.load_state_dict(load_file(Path(folder, "model.safetensors")))
        held = Path(folder, "statistics.safetensors")
        if held.exists():
            known, layers = load_file(held), model.net.named_modules()
            names = [name for name, layer in layers if hasattr(layer, "supplied")]
            model.statistics = [(known[f"{name}.running_mean"], known[f"{name}.running_var"]) for name in names]
        return model

    def prepare(self, pictures: Sequence[Image.Image] | torch.Tensor) -> torch.Tensor:
        """Bring images, or float32 [N, C, H, W] in [0, 1] of the right size, to the network's normalisation."""
        if isinstance(pictures, torch.Tensor):
            x = pictures
        else:
            fitted = [torch.tensor(fit_picture(one, size=self.size, channels=self.channels)) for one in pictures]
            x = torch.stack(fitted).permute(0, 3, 1, 2).float() / 255
        return (x - self.mean) / self.std

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map prepared images to features [N, D]."""
        return self.net.forward_head(self.net.forward_features(x), pre_logits=True)

    def adapt(
        self,
        pictures: Sequence[Image.Image] | torch.Tensor,
        labels: Sequence[int],
        *,
        how: str = "",
        steps: int | None = None,
    ) -> Callable[[Sequence[Image.Image] | torch.Tensor], torch.Tensor]:
        """Return a function from images to probabilities [N, classes], learned from a few images of each class.

        ``labels`` are 0 .. classes - 1. ``how`` is ``centroid`` (the nearest class mean) or ``steps`` (gradient
        steps), by default what the model was trained for. Queries are normalised with the support set's statistics, so
        an answer does not depend on the other queries.
        """
        x, y = self.prepare(pictures), torch.tensor(labels)
        classes = int(y.max()) + 1
        params = {name: p.detach() for name, p in self.net.named_parameters()}
        if by_steps := (how or ("centroid" if self.learner == "protonet" else "steps")) == "steps":
            params, _ = fit_head(params, self.net.num_classes, classes)
            for _ in range(self.steps if steps is None else steps):
                params = {name: p.requires_grad_() for name, p in params.items()}
                moving = [name for name in params if self.learner != "anil" or name.startswith("fc.")]
                loss = F.cross_entropy(functional_call(self.net, params, (x,)), y)
                grads = torch.autograd.grad(loss, [params[name] for name in moving])
                moved = {name: params[name] - self.lr * grad for name, grad in zip(moving, grads, strict=True)}
                params = {name: p.detach() for name, p in {**params, **moved}.items()}
        with torch.no_grad(), recorded_statistics(self.net) as statistics:
            functional_call(self.net, params, (x,))
        with torch.no_grad():
            prototypes = None if by_steps else class_means(self.features(x), y)

        @torch.no_grad()
        def classify(queries: Sequence[Image.Image] | torch.Tensor) -> torch.Tensor:
            with supplied_statistics(self.net, statistics):
                q = self.prepare(queries)
                if prototypes is None:
                    return functional_call(self.net, params, (q,)).softmax(1)
                return (-squared_distances(self.features(q), prototypes)).softmax(1)

        return classify

    @torch.no_grad()
    def classify(self, pictures: Sequence[Image.Image] | torch.Tensor) -> torch.Tensor:
        """Return the probabilities [N, classes] of a model that was adapted before it was exported.

        Without statistics of its support set it normalises with those of the images that are given together.
        """
        with supplied_statistics(self.net, self.statistics):
            return self.net(self.prepare(pictures)).softmax(1)

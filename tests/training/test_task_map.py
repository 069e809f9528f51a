"""What a training tells of its tasks: an embedding for each, and the task's own images at the same step."""

import torch

from dfml.core.events import TASK, Embedding, Images, Scalars
from dfml.tasks.similarity import mean_pairwise_cosine_distance
from dfml.training import context
from tests.methods.small import small


def test_each_embedded_task_is_told_once_with_its_images(run, tiny_probe, monkeypatch):
    monkeypatch.setattr(context, "EMBED_EVERY", 2)
    seen = []
    add = context.DiversityMeter.add

    def watched(self, name, images, labels):
        add(self, name, images, labels)
        seen.append((self.vectors[-1].clone(), images.clone(), labels.clone()))

    monkeypatch.setattr(context.DiversityMeter, "add", watched)
    events = run(*small("purer", iterations=8, warm_start=0))
    told = [event for event in events if isinstance(event, Embedding)]
    shown = {event.step: event for event in events if isinstance(event, Images) and event.tag == TASK}
    assert [event.step for event in told] == [2, 4, 6, 8] == list(shown)
    assert len({name for event in told for name in event.ids}) == len(told)
    for event, (vector, images, labels) in zip(told, seen, strict=True):
        assert torch.equal(event.vectors[0], vector)
        grid = shown[event.step]
        assert sorted(grid.labels) == sorted(labels.unique().tolist()) == grid.labels
        for picture, label in zip(grid.images, grid.labels, strict=True):
            assert any(torch.equal(picture, image) for image in images[labels == label])
    spread = [e.values["tasks/diversity"] for e in events if isinstance(e, Scalars) and "tasks/diversity" in e.values]
    assert abs(spread[-1] - mean_pairwise_cosine_distance(torch.stack([vector for vector, *_ in seen]))) < 1e-9

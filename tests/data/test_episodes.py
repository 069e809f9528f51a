import pytest
import torch

from dfml.core.errors import BadInput
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split


@pytest.fixture(scope="module")
def data(patterns):
    return load_split(patterns, "test")


def test_shapes_labels_and_no_overlap(data):
    sampler = EpisodeSampler(data, way=5, shot=2, query=3, episodes=4, seed=0)
    assert len(sampler) == len(list(sampler)) == 4
    for (classes, picks), episode in zip(sampler.plan, sampler, strict=True):
        assert episode.support_x.shape == (10, 3, 32, 32)
        assert episode.query_x.shape == (15, 3, 32, 32)
        assert episode.support_y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        assert episode.query_y.tolist() == sorted(list(range(5)) * 3)
        assert len(set(classes)) == 5
        assert len(set(picks.ravel())) == 25, "no picture is both support and query"
        for slot, position in enumerate(classes):
            assert set(data.labels[picks[slot]]) == {position}
            assert episode.class_names[slot] == data.class_names[position]
        assert torch.equal(episode.support_x[2], data.pictures([picks[1, 0]])[0])


def test_the_seed_fixes_the_list(data):
    def plan(seed, episodes=5):
        sampler = EpisodeSampler(data, way=3, shot=1, query=2, episodes=episodes, seed=seed)
        return [(c.tolist(), p.tolist()) for c, p in sampler.plan]

    assert plan(7) == plan(7)
    assert plan(7) != plan(8)
    assert plan(7, 9)[:5] == plan(7, 5), "a longer list begins like a shorter one"


def test_the_list_is_pinned(data):
    # The same on every machine, or published numbers could not be compared.
    sampler = EpisodeSampler(data, way=5, shot=1, query=1, episodes=2, seed=0)
    assert [classes.tolist() for classes, _ in sampler.plan] == [[2, 3, 4, 5, 1], [2, 3, 0, 5, 4]]


def test_too_little_data_gives_one_line(data):
    with pytest.raises(BadInput, match="has 6 classes, but 7-way episodes need 7"):
        EpisodeSampler(data, way=7, shot=1, query=1, episodes=1, seed=0)
    with pytest.raises(BadInput, match=r"'kind13' of patterns/test has 24 images, but 5 shots and 20 queries need 25"):
        EpisodeSampler(data, way=5, shot=5, query=20, episodes=1, seed=0)
    with pytest.raises(BadInput, match="way must be >= 2"):
        EpisodeSampler(data, way=1, shot=1, query=1, episodes=1, seed=0)


def test_an_episode_moves_between_devices(data):
    episode = EpisodeSampler(data, way=2, shot=1, query=1, episodes=1, seed=0).episode(0)
    assert episode.to("meta").query_x.device.type == "meta"

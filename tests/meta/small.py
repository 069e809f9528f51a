"""A meta-model that nothing was taught, and few episodes."""

from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import new_meta_model


def tiny_model(learner="maml", **changes):
    options = {"shape": (3, 32, 32), "way": 5, "mean": [0.5] * 3, "std": [0.25] * 3, "width": 8, "adapt_steps": 3}
    return new_meta_model(
        "fewshot_conv4", learner=make_learner(learner, LearnerConfig(inner_lr=0.05)), **{**options, **changes}
    )


def sampler(patterns, episodes=6, shot=2, way=5, split="test", seed=0):
    return EpisodeSampler(load_split(patterns, split), way=way, shot=shot, query=4, episodes=episodes, seed=seed)

"""Meta-learning: learners, the evaluation protocol, meta-models and adapting them to images."""

from dfml.meta.ensemble import EnsembleModel
from dfml.meta.learners import LEARNERS, MetaLearner, make_learner
from dfml.meta.model import MetaModel

__all__ = ["LEARNERS", "EnsembleModel", "MetaLearner", "MetaModel", "make_learner"]

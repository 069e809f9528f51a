"""Meta-learning: learners, the evaluation protocol, meta-models and adapting them to pictures."""

from dfml.meta.learners import LEARNERS, MetaLearner, make_learner
from dfml.meta.model import MetaModel

__all__ = ["LEARNERS", "MetaLearner", "MetaModel", "make_learner"]

"""What is measured while a model trains is what is measured of it at the end."""

import pytest

from dfml.meta.learners import LEARNERS
from dfml.training import validation
from tests.methods.small import small


@pytest.mark.parametrize("learner", ["maml", "anil", "protonet"])
def test_a_validation_adapts_and_normalises_as_tables_do(learner, run, monkeypatch):
    asked, steps = [], validation.evaluation_steps

    def spy(model, sampler, **how):
        asked.append((model.learner.name, how["bn"], how["adapt"]))
        return steps(model, sampler, **how)

    monkeypatch.setattr(validation, "evaluation_steps", spy)
    run(*small("no-teacher-patterns", learner=learner, iterations=1, validate_every=1, tasks=1))
    assert asked == [(learner, ["transductive"], [LEARNERS.get(learner).default_adaptation])]

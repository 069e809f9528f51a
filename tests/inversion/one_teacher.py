"""One teacher's task recovered from beginning to end."""

from dfml.core.events import Done, until_done
from dfml.inversion.base import INVERTERS
from dfml.inversion.pipeline import warm_up
from dfml.inversion.recipe import Recipe
from dfml.reports.recovery import invert_teachers


def invert_teacher(zoo, which, inverter, config=None, **options):
    """The events of warm-up and recovery, for options see ``Recipe``; last ``Done(Recovery)``."""
    work = INVERTERS.get(inverter)(config)
    warmed = yield from until_done(warm_up(Recipe(zoo, work, **options), [zoo.card(which).id]))
    (recovery,) = yield from until_done(invert_teachers(Recipe(zoo, work, warmed=warmed, **options), [which]))
    yield Done(recovery)

# What type checkers read of the names that __init__.py imports when they are asked for.
from dfml.api import MetaModel as MetaModel
from dfml.api import adapt as adapt
from dfml.api import evaluate as evaluate
from dfml.api import invert as invert
from dfml.api import open_zoo as open_zoo
from dfml.api import train as train

__version__: str
__all__ = ["open_zoo", "invert", "train", "evaluate", "adapt", "MetaModel"]

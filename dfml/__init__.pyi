"""What type checkers read of the lazily imported names."""

from dfml.api import MetaModel as MetaModel
from dfml.api import adapt as adapt
from dfml.api import evaluate as evaluate
from dfml.api import invert as invert
from dfml.api import open_zoo as open_zoo
from dfml.api import train as train

__version__: str
__all__ = ["MetaModel", "adapt", "evaluate", "invert", "open_zoo", "train"]

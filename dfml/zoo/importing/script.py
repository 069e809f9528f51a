"""TorchScript, which runs code when it is opened: only a command that was told to trust a file comes here.

Its weights are taken and the program is left behind: the teacher is the known network that they fit.
"""

import zipfile
from pathlib import Path

from dfml.zoo.importing.child import open_apart
from dfml.zoo.importing.drafts import Draft


def is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive; it is not opened."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_script(path: Path, work: Path) -> Draft:
    """Open a TorchScript program in a process of its own, which runs it, and read its weights.

    ``BadInput``: it is damaged, or has no plain weights.
    """
    open_apart(path, work, "script")
    return Draft(path.stem, str(path), work / "weights.safetensors")

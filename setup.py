"""Puts the app and its assets, which a checkout keeps at its top, into the package; the rest: ``pyproject.toml``."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

TOP = Path(__file__).resolve().parent
STUDIO = ("app.py", "pages", ".streamlit/config.toml", "assets", "benchmarks/results", "requirements-server.txt")


class BuildWithStudio(build_py):
    """Copies them to ``dfml/studio``, by which ``dfml/core/paths.py`` knows an installation."""

    def run(self) -> None:
        """Build anew, without what a former build has left; an editable installation takes them from the checkout."""
        built = Path(self.build_lib).resolve() / "dfml"
        if not self.editable_mode and built != TOP / "dfml":
            shutil.rmtree(built, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for source in self._sources():
                target = self._target(source)
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target), preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name the copies among the files of the package."""
        copies = [] if self.editable_mode else [str(self._target(source)) for source in self._sources()]
        return [*super().get_outputs(include_bytecode), *copies]

    def _sources(self) -> list[Path]:
        found = [path for pattern in STUDIO for path in TOP.glob(pattern)]
        files = [file for path in found for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
        return [file for file in files if file.is_file() and "__pycache__" not in file.parts]

    def _target(self, source: Path) -> Path:
        return Path(self.build_lib) / "dfml" / "studio" / source.relative_to(TOP)


setup(cmdclass={"build_py": BuildWithStudio})

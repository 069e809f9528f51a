"""The one place where files come in through the browser.

Streamlit's server takes files of any uploader up to ``maxUploadSize``, and holds them in memory; what a single uploader
says of a smaller size its browser alone obeys. So each file's size is checked here, before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile

from dfml.data.class_folders import base_name

MEGABYTES = 20
"""Of a file, unless an uploader says otherwise."""


@dataclass(frozen=True)
class Refused:
    """A file that is too large, and was dropped unread."""

    file_id: str
    reason: str


Given = UploadedFile | DeletedFile | Refused


def uploader(
    label: str,
    keep: Callable[[Sequence[Given]], object],
    *,
    key: str,
    megabytes: int = MEGABYTES,
    **look: Any,  # noqa: ANN401 - as st.file_uploader's
) -> None:
    """Draw an uploader; at each change ``keep`` is called with all its files, those that are too large ``Refused``."""
    st.file_uploader(label, key=key, max_upload_size=megabytes, on_change=_taking(key, keep, megabytes), **look)


def camera(label: str, keep: Callable[[Sequence[Given]], object], *, key: str, **look: Any) -> None:  # noqa: ANN401
    """Draw a camera; ``keep`` is called as by ``uploader``."""
    st.camera_input(label, key=key, on_change=_taking(key, keep, MEGABYTES), **look)


def whole_ones(given: Sequence[Given]) -> tuple[list[UploadedFile], list[str]]:
    """Return the files that are there, and a line for each that is not."""
    lost = "A file was lost on its way to the server: choose it again."
    lines = [getattr(one, "reason", lost) for one in given if not hasattr(one, "getvalue")]
    return [cast(UploadedFile, one) for one in given if hasattr(one, "getvalue")], lines


def forget(upload: UploadedFile) -> None:
    """Let the server drop a file from its memory; the session needs it no more."""
    context = get_script_run_ctx()
    if context and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, upload.file_id)


def _taking(key: str, keep: Callable[[Sequence[Given]], object], megabytes: int) -> Callable[[], None]:
    def take() -> None:
        given = st.session_state.get(key) or []
        keep([_sized(one, megabytes) for one in (given if isinstance(given, list) else [given])])

    return take


def _sized(upload: UploadedFile | DeletedFile, megabytes: int) -> Given:
    if isinstance(upload, DeletedFile) or upload.size <= megabytes * 2**20:
        return upload
    forget(upload)
    name = base_name(upload.name)
    return Refused(upload.file_id, f"{name} has {upload.size / 2**20:,.1f} MB: at most {megabytes} are taken here.")

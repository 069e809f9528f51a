"""Guide: eight lessons over recorded measurements, step by step; imports no torch."""

from dfml.ui.guide.lesson_view import show_guide
from dfml.ui.widgets.navigation import within_app

within_app()
show_guide()

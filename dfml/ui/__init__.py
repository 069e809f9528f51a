"""Charts, forms, galleries and run panels: the only room that imports streamlit. No torch at import."""

from dfml.core.process import wait_briefly

# Whoever imports this is the app. Here, since on a cold server a page may run before app.py.
wait_briefly()

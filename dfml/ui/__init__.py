"""Charts, forms, galleries and run panels: the only room that imports streamlit. No torch at import."""

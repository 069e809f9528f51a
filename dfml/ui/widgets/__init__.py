"""What every page is built from: forms, messages, galleries, the sidebar, the theme."""

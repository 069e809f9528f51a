"""Charts: figures of plotly, and the box in which a page shows one."""

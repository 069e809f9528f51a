"""Charts, grids of images and maps that change in place, play and answer at once: the browser draws them itself."""

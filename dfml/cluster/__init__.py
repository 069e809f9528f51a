"""Work that is shared: among processes of this machine, or among the nodes of a Dask cluster."""

"""Teachers behind an inference server: the connection, the zoo that speaks to it, and serving one."""

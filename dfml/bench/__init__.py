"""The benchmark commands: each writes a table that names its command, config, seeds and machine."""

"""Other values of an option, from what a config says of it."""


def others(row, value):
    """Other values of the option that ``row`` of ``Config.describe`` tells; for a choice all others."""
    if row["choices"]:
        return [other for other in row["choices"] if other != value]
    if row["type"] == "boolean":
        return [not value]
    more = (value or 0) + 1 if row["type"] == "integer" else 2 * (value or 0.25)
    return [more if row["maximum"] is None or more <= row["maximum"] else value / 2]

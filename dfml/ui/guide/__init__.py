"""The guide: eight lessons over recorded measurements, each drawn on one stage that plays in the browser."""

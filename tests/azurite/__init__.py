"""Deliveries to Azure, as Azurite speaks it: what `python -m dev.azurite` installs."""

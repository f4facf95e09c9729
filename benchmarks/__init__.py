"""What waiting costs, measured beside other clients in one run: `make bench`."""

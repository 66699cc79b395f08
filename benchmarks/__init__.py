"""Measurements beside the peers, each printing a table. See ``make bench``."""

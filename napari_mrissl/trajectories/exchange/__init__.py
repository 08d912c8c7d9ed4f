"""Flights in the formats of other programs: written there, and read back where they can be."""

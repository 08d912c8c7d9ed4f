"""Flights: record, journal, replay."""

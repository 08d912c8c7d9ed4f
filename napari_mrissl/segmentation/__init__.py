"""Prompts, the instant classifier, prediction."""

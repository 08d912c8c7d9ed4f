"""Dice and other measures of agreement."""

"""Brax's environments as tasks."""

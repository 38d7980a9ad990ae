"""Schedules and sensors of a connection."""

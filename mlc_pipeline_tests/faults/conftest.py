"""The fixtures of the end-to-end tests, for the tests of the bench."""

from mlc_pipeline_tests.e2e.conftest import environ, home

__all__ = ["environ", "home"]

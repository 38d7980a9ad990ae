"""The commands of `mlc`, one module a subject; `mlc_pipeline.cli` puts them together."""

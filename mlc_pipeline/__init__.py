"""mlc_pipeline keeps SYSPRO and Cin7 Core in step, as a Dagster project."""

__version__ = "0.1.0"

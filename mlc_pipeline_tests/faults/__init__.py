"""The fault bench: the product under every fault, judged by what stands in both systems.

It knows the product by its entrances only (a cycle, a connection folder, PostgreSQL) and
believes nothing but the stand-ins. `python -m mlc_pipeline_tests.faults` runs it whole;
the tests beside it run a small form of it.
"""

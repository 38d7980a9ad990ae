"""Thin Dagster assets and checks: extract, reference, mapping, plan, push, tie-out.

What must not come in: business rules; they live in `sync`.
"""

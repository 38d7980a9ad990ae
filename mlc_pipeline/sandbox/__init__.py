"""Stand-ins of both systems, the generated company and the pack loader.

They run as servers beside the product. Product code talks to them over HTTP only and
imports nothing from here; the command line starts them.
"""

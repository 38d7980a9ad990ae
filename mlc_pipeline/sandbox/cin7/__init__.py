"""A stand-in Cin7 Core: the purchase-to-pay part of the External API v2, with its rules.

It keeps state, refuses what the published rules refuse and shows the known quirks, so that
a client that passes against it is ready for a trial account. Facts: the Cin7 Core API
reference and what client authors measured; where both are silent, the module that decides
says so.

What must not come in: anything of the product. The product speaks to it over HTTP only.
"""

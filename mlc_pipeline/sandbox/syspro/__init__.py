"""The stand-in SYSPRO: e.net REST, OData and a company database in one local server.

`load`, `upsert` and `delete` put rows into a `Store`; `running_syspro` (module `running`)
starts a server in a thread; `python -m mlc_pipeline.sandbox.syspro` starts it by itself.

What must not come in: product code; the stand-in knows SYSPRO's published behaviour only.
"""

from mlc_pipeline.sandbox.syspro.store import RowError, Store, delete, load, upsert
from mlc_pipeline.sandbox.syspro.tables import TABLES

__all__ = ["TABLES", "RowError", "Store", "delete", "load", "upsert"]

"""An embedded job database: the MongoDB wire protocol on a Unix socket, durable, without a MongoDB server.

For one host and some ten thousand jobs. A facility's own MongoDB takes its place by its URI.
"""

from hpcstem.simulation.database.client import (
    DatabaseStatus,
    database_status,
    start_database,
    stop_database,
)

__all__ = ["DatabaseStatus", "database_status", "start_database", "stop_database"]

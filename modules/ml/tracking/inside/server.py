"""MLflow's server for tenants: what gunicorn runs."""

from __future__ import annotations

import os
from typing import Final

from modules.ml.tracking.inside import database
from modules.ml.tracking.inside.gate import Application, Gate

DATABASE: Final = "_MLFLOW_SERVER_FILE_STORE"
"""Variable by which MLflow's own command tells its server of the database, whose address holds a password."""


def application() -> Application:
    """The server behind its gate. MLflow reads its environment when it is imported, so that comes late."""
    os.environ[DATABASE] = database.url()
    from mlflow.server import app, handlers

    from modules.ml.tracking.inside import artifacts

    artifacts.keep_to_tenants()
    handlers.initialize_backend_stores()
    return Gate(app, database.Known())

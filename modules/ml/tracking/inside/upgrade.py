"""Brings the database to the schema that this MLflow works with. Any number of servers may do so at once: one does, the others wait and find it done."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from mlflow.store.db import utils

from modules.ml.tracking.inside import database


def upgrade(binding: Path = database.BINDING) -> str:
    """Bring it there; gives the schema's version.

    MLflow's own command takes a database with any table in it for one of MLflow's, so what was begun is told by its books here.
    """
    with database.alone(binding):
        engine = utils.create_sqlalchemy_engine_with_retry(database.url(binding))
        if sqlalchemy.inspect(engine).has_table("alembic_version"):
            utils._upgrade_db(engine)
        else:
            utils._initialize_tables(engine)
        found = str(utils._get_schema_version(engine))
        engine.dispose()
    return found


if __name__ == "__main__":
    print(f"the schema is {upgrade()}")

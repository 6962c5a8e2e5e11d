"""Make Neutron's tables as they are now: its migrations use what SQLite cannot do.

Run by the services' interpreter, with the URL of the database.
"""

import sys

import sqlalchemy
from neutron.db.migration.models import head

if __name__ == "__main__":
    head.get_metadata().create_all(sqlalchemy.create_engine(sys.argv[1]))

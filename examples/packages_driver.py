"""packages: the Python packages that are installed in a folder, and what each of them requires."""

from importlib import metadata
from pathlib import Path

from oslo_config import cfg

from congress_dse import exceptions
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver

VALUE = {"translation-type": "VALUE"}


class PackagesDriver(PollingDataSourceDriver):
    """The tables `packages` and `requires`."""

    DESCRIPTION = "The Python packages installed in a folder."
    OPTIONS = [
        cfg.StrOpt("path", required=True, help="A site-packages folder."),
        cfg.StrOpt("only", default="", help="Leave out packages whose names do not begin so."),
    ]
    TRANSLATORS = [
        {
            "translation-type": "HDICT",
            "table-name": "packages",
            "selector-type": "DICT_SELECTOR",
            "field-translators": (
                {"fieldname": "name", "translator": VALUE},
                {"fieldname": "version", "translator": VALUE},
                {
                    "fieldname": "requires",
                    "translator": {
                        "translation-type": "LIST",
                        "table-name": "requires",
                        "parent-key": "name",
                        "parent-col-name": "package",
                        "val-col": "requirement",
                        "translator": VALUE,
                    },
                },
            ),
        },
    ]

    def update_from_datasource(self):
        path = Path(self.args["path"])
        if not path.is_dir():
            raise exceptions.SourceError(f"no folder at {str(path)!r}")
        self.update_state("packages", self.blocking(read, path, self.args["only"]))


def read(path, only):
    """What is installed, as plain objects; reading hundreds of files blocks."""
    found = metadata.distributions(path=[str(path)])
    return [
        {"name": d.name, "version": d.version, "requires": d.requires or []}
        for d in found
        if d.name.startswith(only)
    ]


def d6service(name, keys, inbox, datapath, args):
    """Make the service, as a cage asks for it."""
    return PackagesDriver(name, keys, inbox, datapath, args)

"""What a configuration costs: the libraries of its own drivers, and of no other."""

import json
import subprocess
import sys

CODE = """
import json, sys
from congress_dse import config
from congress_dse.catalogue import Catalogue
Catalogue([sys.argv[1]], None).wanted()
large = {"openstack", "oslo_messaging", "jmespath"}
print(json.dumps(sorted(large & set(sys.modules))))
"""


def loaded(tmp_path, section):
    path = tmp_path / "c.conf"
    path.write_text(f"[datasource:one]\n{section}")
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_a_driver_that_no_source_has_is_not_imported(tmp_path):
    assert loaded(tmp_path, "driver = host\n") == []
    given = "driver = http_json\nurl = http://127.0.0.1:1/\ntable = n: @\n"
    assert loaded(tmp_path, given) == ["jmespath"]

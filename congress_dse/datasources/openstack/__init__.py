"""Drivers of OpenStack's services over openstacksdk, one file each.

The runtime comes first: it patches the standard library, and TLS breaks in a requests that was
imported before.
"""

import congress_dse.runtime.chosen  # noqa: F401 - imported for its effect, before openstacksdk

"""Asking an API over HTTP: what it answers, a refusal like any other answer."""

import json
import urllib.error
import urllib.request


def asked(request, timeout_s=30):
    """(status, JSON) of the answer to a URL or request; raises OSError where there is none."""
    try:
        answer = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as refusal:
        answer = refusal  # left to the collector it is a ResourceWarning
    with answer:
        return answer.status, json.loads(answer.read() or b"null")

"""What the server does not do, and how it says so: a status and one sentence, as JSON."""

from __future__ import annotations

from typing import Any

from autocomp.errors import ArtifactError, AutocompError, InputError, MissingExtra, RunFolderError, UnknownName
from autocomp.report.as_json import as_json


class Refused(Exception):
    """A request that is not served.

    Args:
        status: of HTTP.
        message: for the person at the page: the rule, and the way out.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def refusal(error: AutocompError) -> Refused:
    """What an error of autocomp is over HTTP: 404 unknown, 409 the run is not as it must be, 400 all other input."""
    if isinstance(error, UnknownName):
        return Refused(404, str(error))
    if isinstance(error, InputError) and not isinstance(error, ArtifactError | RunFolderError | MissingExtra):
        return Refused(400, str(error))
    return Refused(409, str(error))


def as_bytes(data: Any) -> bytes:
    """`as_json` in UTF-8."""
    return as_json(data).encode("utf-8")

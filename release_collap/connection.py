"""What goes wrong between here and the Hub, in one sentence."""

from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

REQUEST_ERRORS = (HTTPError, OfflineModeIsEnabled)
"""What the client raises where the Hub refuses (`HfHubHTTPError`) or does not answer at all."""

PUSH_ERRORS = (*REQUEST_ERRORS, OSError, ValueError, RuntimeError)
"""What the client raises where a push fails: of its own, of files, and of the library that uploads large ones."""


def cause(error: Exception) -> str:
    """The first line of an error, without the address of the request."""
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids it"
    if isinstance(error, HfHubHTTPError):
        return f"{error.response.status_code}, {error.server_message or _first_line(error)}"
    return f"{type(error).__name__}, {_first_line(error)}".removesuffix(", ")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]

"""Who pushes: the client's own token, looked at before any work is done."""

from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from .connection import REQUEST_ERRORS, cause
from .errors import ReleaseError

_HOW = "run `hf auth login`, or set HF_TOKEN, with a token that may write"


def check_account(api: HfApi, owner: str) -> str:
    """The name of the account whose token is used.

    Raises:
        ReleaseError: there is no token, it may only read, it is of somebody who does not belong to `owner`, or the Hub
            does not answer.
    """
    try:
        account = api.whoami()
    except LocalTokenNotFoundError as error:
        raise ReleaseError(f"there is no token for {api.endpoint}: {_HOW}") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise ReleaseError(f"{api.endpoint} does not know this token: {_HOW}") from error
        raise ReleaseError(f"{api.endpoint} does not say whose the token is: {cause(error)}") from error
    except REQUEST_ERRORS as error:
        raise ReleaseError(f"{api.endpoint} cannot be reached: {cause(error)}") from error
    token: dict[str, Any] = account.get("auth", {}).get("accessToken", {})
    role, name = token.get("role"), account["name"]
    if role == "read" or (role == "fineGrained" and not _may_write(token, owner)):
        raise ReleaseError(f"the token of {name} may not write to repositories of {owner}: {_HOW}")
    members = [name, *(each["name"] for each in account.get("orgs", []))]
    if role == "write" and owner not in members:
        raise ReleaseError(f"the token is of {name}, who does not belong to {owner} (but to {', '.join(members)})")
    return name


def _may_write(token: dict[str, Any], owner: str) -> bool:
    """Whether a fine-grained token may write to anything of the owner; one that does not tell may."""
    scopes = token.get("fineGrained", {}).get("scoped")
    if scopes is None:
        return True
    return any(
        "repo.write" in scope.get("permissions", ()) and scope.get("entity", {}).get("name", "").split("/")[0] == owner
        for scope in scopes
    )

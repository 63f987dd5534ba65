"""A release: all that was asked for is assembled and checked, compared with the Hub, and then pushed."""

from huggingface_hub import HfApi
from rich.console import Console
from rich.markup import escape

from training_collap.reports import versions

from .account import check_account
from .connection import PUSH_ERRORS, REQUEST_ERRORS, cause
from .errors import ReleaseError
from .plan import ReleasePlan
from .push import push
from .rehearsal import refuse_the_public_hub
from .report import print_gate, print_plan
from .repositories import SPACE
from .settings import ReleaseSettings


def release(settings: ReleaseSettings, api: HfApi, console: Console) -> list[ReleasePlan]:
    """Does what the settings say; nothing is pushed before everything has been assembled and checked.

    Returns:
        The plans, in the order of pushing, compared with the Hub where it answers.

    Raises:
        ReleaseError: something is missing or must not be published, or a push failed; then the message says which
            repositories were pushed and which were not.
    """
    if settings.rehearsal:
        refuse_the_public_hub(api.endpoint)
    settings.check()
    if not settings.dry_run:
        check_account(api, settings.org)
        _check_model_of_space(settings, api)
    plans = []
    for repository in settings.repositories:
        folder = settings.assemble(repository)
        report = settings.inspect(repository, folder)
        if report is not None:
            print_gate(report, console)
        plans.append(ReleasePlan.of(folder, repository, settings.org))
    plans = _compared(plans, settings, api, console)
    for plan in plans:
        print_plan(plan, console)
    if not settings.dry_run:
        _push_all(plans, settings, api, console)
    return plans


def _check_model_of_space(settings: ReleaseSettings, api: HfApi) -> None:
    """The Space must find its model: pushed now, or before."""
    wanted = settings.repositories
    if SPACE not in wanted or settings.space_model in (each.name for each in wanted):
        return
    model = f"{settings.org}/{settings.space_model}"
    try:
        found = api.repo_exists(model)
    except REQUEST_ERRORS as error:
        raise ReleaseError(f"{api.endpoint} does not say whether {model} exists: {cause(error)}") from error
    if not found:
        raise ReleaseError(
            f"the Space loads {model}, which is not on {api.endpoint}: release {settings.space_model} too"
        )


def _compared(plans: list[ReleasePlan], settings: ReleaseSettings, api: HfApi, console: Console) -> list[ReleasePlan]:
    try:
        return [plan.compare(api) for plan in plans]
    except REQUEST_ERRORS as error:
        problem = f"the files could not be compared with those on {api.endpoint}: {cause(error)}"
        if not settings.dry_run:
            raise ReleaseError(f"{problem}; nothing was pushed") from error
    console.print(f"[yellow]Note:[/yellow] {escape(problem)}\n", soft_wrap=True)
    return plans


def _push_all(plans: list[ReleasePlan], settings: ReleaseSettings, api: HfApi, console: Console) -> None:
    for number, plan in enumerate(plans):
        try:
            commit = push(plan, api, private=settings.private, message=f"CoLLAP {versions()['collap'] or ''}".strip())
        except PUSH_ERRORS as error:
            before = ", ".join(each.repo_id for each in plans[:number]) or "nothing"
            after = ", ".join(each.repo_id for each in plans[number + 1 :]) or "nothing"
            raise ReleaseError(
                f"the push of {plan.repo_type} {plan.repo_id} failed: {cause(error)}; what is there is as it was or as "
                f"it should be, never between. Pushed before: {before}. Not tried: {after}. The same command goes on "
                "from there"
            ) from error
        told = f"commit {commit[:12]}" if commit else "nothing has changed"
        console.print(f"{plan.repo_type} [bold]{escape(plan.repo_id)}[/bold]: {told}", soft_wrap=True)

"""One repository is brought to what a staging folder holds, in one commit or not at all."""

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from .plan import ReleasePlan


def push(plan: ReleasePlan, api: HfApi, *, private: bool = False, message: str = "Release") -> str | None:
    """Makes the repository equal to the plan's folder; files that the folder does not have are deleted.

    Large files are uploaded first, and belong to nothing until the one commit at the end names them. Whatever
    interrupts it, the repository is as it was or as it should be, and the same call goes on. The commit says which one
    it follows, so that it is refused where somebody else has committed meanwhile.

    Args:
        private: whether a repository that is made now can be seen by its owners only.
        message: of the commit.

    Returns:
        The commit's id; None where the repository is already as it should be.
    """
    api.create_repo(
        plan.repo_id,
        repo_type=plan.repo_type,
        exist_ok=True,
        private=private or None,
        space_sdk="gradio" if plan.repo_type == "space" else None,
    )
    plan = plan.compare(api)
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(file.path, plan.folder / file.path) for file in plan.having("new", "changed")
    ]
    operations += [CommitOperationDelete(file.path, is_folder=False) for file in plan.having("gone")]
    if not operations:
        return None
    commit = api.create_commit(
        plan.repo_id, operations, commit_message=message, repo_type=plan.repo_type, parent_commit=plan.head
    )
    return commit.oid

"""What a release says when it refuses."""


class ReleaseError(ValueError):
    """One sentence that names the input and the cause; nothing was pushed on its account."""

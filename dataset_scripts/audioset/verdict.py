"""What an error of yt-dlp says about a video: gone for good, worth another attempt, or a host that turns us away.

yt-dlp reports everything as `DownloadError`; what really happened stands in the exceptions behind it and in the
sentence with which the host refuses. The sentences below are the hosts' own, in lower case.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What to do about a video that did not come."""

    REFUSED = "refused"
    """The host's last word: a ledger entry."""
    PASSING = "passing"
    """It may work in a while: another attempt."""
    BLOCKED = "blocked"
    """The host turns away whoever asks: no video will come until that is over."""


@dataclass(frozen=True)
class Verdict:
    """A kind and the reason in words, which are the same in every run."""

    kind: Kind
    reason: str


_STATUS = {
    401: (Kind.REFUSED, "private"),
    403: (Kind.REFUSED, "private"),
    404: (Kind.REFUSED, "gone"),
    410: (Kind.REFUSED, "gone"),
    429: (Kind.BLOCKED, "too many requests"),
    451: (Kind.REFUSED, "geo-blocked"),
}
_SENTENCES = [  # the first that is found counts, so that "unavailable" does not hide a better reason
    (Kind.BLOCKED, "too many requests", r"not a bot|captcha|rate-limited|try again later|too many requests"),
    (Kind.PASSING, "no fit format", r"requested format"),
    (Kind.REFUSED, "private", r"private video|video is private|not granted access"),
    (Kind.REFUSED, "age-gated", r"confirm your age|age.restricted|inappropriate for some users"),
    (Kind.REFUSED, "geo-blocked", r"in your country|from your location|geo.?restrict"),
    (Kind.REFUSED, "not free to see", r"members.only|join this channel|requires? (a )?(payment|purchase)|premium"),
    (Kind.REFUSED, "protected by DRM", r"\bdrm\b"),
    (Kind.REFUSED, "not out yet", r"premieres? (in|will)|live event will begin|scheduled for"),
    (
        Kind.REFUSED,
        "gone",
        r"unavailable|no longer available|(isn.t|not) available|removed|deleted|does not exist|terminated|copyright",
    ),
    (Kind.REFUSED, "no audio", r"unsupported url|no media found"),
]


def judge(error: BaseException) -> Verdict:
    """The verdict on a video from the exception that yt-dlp raised for it.

    A status counts as the host's answer only where it came with the page: an address of media runs out and answers
    403 or 404 too, and a new one comes with another attempt.
    """
    from yt_dlp.networking.exceptions import HTTPError, TransportError
    from yt_dlp.utils import ExtractorError, GeoRestrictedError

    chain = list(causes(error))
    refusal = next((one for one in chain if isinstance(one, ExtractorError)), None)
    answer = next((one for one in chain if isinstance(one, HTTPError)), None)
    if isinstance(refusal, GeoRestrictedError):
        return Verdict(Kind.REFUSED, "geo-blocked")
    if answer is not None:
        words = _STATUS if refusal is not None or answer.status == 429 else {}
        kind, word = words.get(answer.status, (Kind.PASSING, "the host failed"))
        return Verdict(kind, f"{word} (HTTP {answer.status})")
    if any(isinstance(one, TransportError) for one in chain):
        return Verdict(Kind.PASSING, "the connection failed")
    said = refusal.orig_msg if refusal is not None else str(error)
    sentence = _first_sentence(said)
    for kind, word, pattern in _SENTENCES:
        if re.search(pattern, said, re.IGNORECASE):
            return Verdict(kind, f"{word} ({sentence})" if word != "no audio" else word)
    return Verdict(Kind.PASSING, sentence)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those it came from; yt-dlp raises within `except`, mostly without `from`."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _first_sentence(message: str) -> str:
    """The host's words without yt-dlp's marks and advice, and without addresses, which differ from run to run."""
    plain = re.sub(r"^ERROR: |\[[\w:]+\] ?|https?://\S+", "", message)
    return re.split(r"(?<=[a-z])[.;]\s", " ".join(plain.split()))[0].rstrip(".")[:200]

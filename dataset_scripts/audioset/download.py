"""Stage `download`: full-length audio with yt-dlp, one file a track.

A track is there once `audio/xx/ID.json` is: it is written last, atomically, and tells name, digest and licence of the
file beside it. So a block that was killed and runs again asks only for what is missing.
"""

import errno
import json
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest, sha256
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from ..whole_files import whole_file
from .stage import Dropped, ItemError, Outcome, Row, Stage
from .verdict import Kind, Verdict, causes, judge

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)
_FILE_NAME = re.compile(r"[\w-][\w.-]*", re.ASCII)


@dataclass
class Download(Stage):
    """Fetches `url` of every row to `WORK/audio/xx/ID.ext`; fills `path`, `sha256` and `licence`.

    What is gone, private, geo-blocked, age-gated or live falls out with the host's reason. A network that is down, a
    host that turns everybody away, and `patience` failures in a row stop the run: they say nothing of the tracks.
    """

    name: ClassVar[str] = "download"
    incidental: ClassVar[tuple[str, ...]] = (
        *("work", "workers", "pause", "bandwidth", "attempts", "backoff", "timeout", "patience", "cookies", "proxy"),
        *("concurrency", "block_size"),
    )

    work: Path
    url: str = "https://www.youtube.com/watch?v={id}"
    """Page or file of a track; `{id}` stands for its YouTube id."""
    format: str = "bestaudio/best"
    """yt-dlp's choice of format. Nothing is recoded."""
    longest: float | None = None
    """Seconds; what its page says is longer is not fetched at all."""
    workers: int = 4
    """Tracks at a time in one process."""
    pause: float = 1.0
    """Seconds at least between two beginnings, over all workers of a process."""
    bandwidth: float | None = None
    """Bytes per second at most, for each worker."""
    attempts: int = 5
    backoff: float = 2.0
    """Seconds before the second attempt; twice as long before each one after."""
    timeout: float = 30.0
    """Seconds that a host may keep silent."""
    patience: int = 20
    """Tracks in a row that may fail without a reason that tells of the track."""
    cookies: Path | None = None
    """Netscape file, as browsers' add-ons export it. It is read and never written."""
    proxy: str | None = None
    """Such as "socks5://127.0.0.1:1080"; none takes the environment's, an empty text goes without."""
    concurrency: int | None = 1
    """Processes: one, because pause and patience hold in each by itself."""
    block_size: int | None = None

    def __post_init__(self) -> None:
        self.actor = True  # pause and patience go on from block to block

    def check(self) -> None:
        from yt_dlp import YoutubeDL
        from yt_dlp.utils import YoutubeDLError

        least = {"workers": 1, "pause": 0, "attempts": 1, "backoff": 0, "patience": 1}
        for option, value in least.items():
            if getattr(self, option) < value:
                raise ValueError(f"download.{option} must be at least {value}, not {getattr(self, option)}")
        for option in ("timeout", "bandwidth", "longest"):
            if (limit := getattr(self, option)) is not None and limit <= 0:
                raise ValueError(f"download.{option} must be above 0, not {limit}")
        if "{id}" not in self.url or urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"download.url must be a web address with {{id}} in it, not {self.url!r}")
        if self.proxy and not urlsplit(self.proxy).hostname:
            raise ValueError(f"download.proxy must be an address such as http://host:8080, not {self.proxy!r}")
        if self.cookies is not None and not self.cookies.is_file():
            raise FileNotFoundError(f"download.cookies: there is no file {self.cookies}")
        try:
            with YoutubeDL(self._options(Path("."))) as ydl:
                ydl.build_format_selector(self.format)
                assert ydl.cookiejar is not None
        except SyntaxError as error:
            raise ValueError(f"download.format: yt-dlp does not know {self.format!r} ({error})") from None
        except (YoutubeDLError, UnicodeDecodeError) as error:
            raise ValueError(f"download.cookies: {self.cookies} is no Netscape cookie file ({error})") from None
        (self.work / "audio").mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        self._turn = threading.Lock()
        self._count = threading.Lock()
        self._next = 0.0  # on the monotonic clock
        self._failures = 0

    def __call__(self, rows: list[Row]) -> Outcome:
        outcome = Outcome([])
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                for result in pool.map(self._track, rows):
                    (outcome.dropped if isinstance(result, Dropped) else outcome.kept).append(result)  # type: ignore[arg-type]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return outcome

    def _track(self, row: Row) -> Row | Dropped:
        """The row with its file, or why there is none."""
        track = row["id"]
        if not _FILE_NAME.fullmatch(track):
            return self.drop(row, "bad id: it cannot be the name of a file")
        folder = self.work / "audio" / sha256(track.encode()).hexdigest()[:2]
        record = folder / f"{track}.json"
        if not record.exists():
            verdict = self._fetch(track, row.get("youtube_id") or track, folder)
            if verdict is not None:
                return self.drop(row, verdict.reason)
        told = json.loads(record.read_text())
        return row | {"path": (folder / told["file"]).relative_to(self.work).as_posix()} | told["columns"]

    def _fetch(self, track: str, video: str, folder: Path) -> Verdict | None:
        """Bring the file and its record; the verdict where that cannot be done.

        Raises:
            ItemError: the failure is not the track's.
        """
        verdict: Verdict | None = None
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.backoff * 2 ** (attempt - 1))
            self._await_turn()
            verdict = self._attempt(track, video, folder)
            if verdict is None or verdict.kind is Kind.REFUSED:
                self._failures = 0
                return verdict
        assert verdict is not None  # there is at least one attempt
        host = urlsplit(self.url).hostname
        if verdict.kind is Kind.BLOCKED:
            raise ItemError(
                track, f"{host} turns us away: {verdict.reason}; wait, give cookies or a proxy, or ask less often"
            )
        if not self._host_answers():
            raise ItemError(track, f"{host} does not answer after {self.attempts} attempts ({verdict.reason})")
        with self._count:
            self._failures += 1
            if self._failures >= self.patience:
                raise ItemError(track, f"{self._failures} tracks in a row failed, this one with: {verdict.reason}")
        return Verdict(Kind.REFUSED, f"failed: {verdict.reason}")

    def _attempt(self, track: str, video: str, folder: Path) -> Verdict | None:
        """One call of yt-dlp, in a folder of its own from which the finished file moves to its place."""
        unfinished = self.work / "audio" / ".unfinished" / track
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            skipped: list[str] = []
            try:
                info = self._extract(self._options(unfinished, skipped), video)
            except Exception as error:  # pages that no extractor is prepared for raise anything
                shortage = next((one for one in causes(error) if isinstance(one, OSError) and one.errno in _DISK), None)
                if shortage is not None:
                    folder = self.work / "audio"
                    raise ItemError(track, f"cannot be written to {folder}: {shortage.strerror}") from error
                return judge(error)
            if skipped:
                return Verdict(Kind.REFUSED, skipped[0])
            files = info.get("requested_downloads")
            if not files:
                return Verdict(Kind.REFUSED, "no audio")
            self._keep(Path(files[0]["filepath"]), track, folder, info.get("license"))
            return None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _extract(self, options: dict[str, Any], video: str) -> dict[str, Any]:
        """What yt-dlp tells of the video that it has fetched; of a page with several, of the first."""
        from yt_dlp import YoutubeDL

        with YoutubeDL(options) as ydl:
            info = ydl.extract_info(self.url.replace("{id}", quote(video, safe="")))
        return next(iter(info["entries"]), {}) if "entries" in info else info

    def _keep(self, file: Path, track: str, folder: Path, licence: str | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        name = f"{track}{file.suffix}"
        file.replace(folder / name)
        with whole_file(folder / f"{track}.json") as record:
            record.write_text(json.dumps({"file": name, "columns": {"sha256": digest, "licence": licence}}))

    def _await_turn(self) -> None:
        with self._turn:
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self.pause

    def _host_answers(self) -> bool:
        """Whether anything at all comes from the host; yt-dlp asks, so proxy and cookies are the same."""
        from yt_dlp import YoutubeDL
        from yt_dlp.networking.exceptions import HTTPError, RequestError

        address = urlsplit(self.url)
        try:
            with YoutubeDL(self._options(Path("."))) as ydl:
                ydl.urlopen(f"{address.scheme}://{address.netloc}/").close()
        except HTTPError as error:
            return error.status < 500
        except RequestError:
            return False
        return True

    def _options(self, folder: Path, skipped: list[str] | None = None) -> dict[str, Any]:
        """yt-dlp's options; why a track is not even tried is added to `skipped`."""

        def skip(info: dict[str, Any], *, incomplete: bool) -> str | None:
            reason = self._needless(info)
            if reason and skipped is not None:
                skipped.append(reason)
            return reason

        options = {
            "format": self.format,
            "outtmpl": str(folder / "audio.%(ext)s").replace("%", "%%").replace("%%(ext)s", "%(ext)s"),
            "match_filter": skip,
            "noplaylist": True,
            "playlist_items": "1",
            "fixup": "never",  # a remuxed file carries the time and version of its making
            "updatetime": False,
            "overwrites": True,
            "socket_timeout": self.timeout,
            "ratelimit": self.bandwidth,
            "retries": 3,  # of a body that breaks off: the next one goes on where it stopped
            "retry_sleep_functions": {"http": lambda n: self.backoff * 2**n, "fragment": lambda n: self.backoff * 2**n},
            "quiet": True,
            "noprogress": True,
            "color": "never",
            "logger": _Silent(),
        }
        if self.proxy is not None:
            options["proxy"] = self.proxy
        if self.cookies is not None:
            # A copy, since yt-dlp writes its cookies back when it ends, and several of them work at once.
            options["cookiefile"] = StringIO(self.cookies.read_text())
        return options

    def _needless(self, info: dict[str, Any]) -> str | None:
        if info.get("live_status") in ("is_live", "is_upcoming"):
            return "a live stream" if info["live_status"] == "is_live" else "not out yet"
        if self.longest is not None and (info.get("duration") or 0) > self.longest:
            return f"too long: {info['duration']:.0f} s, more than {self.longest:g} s"
        return None


class _Silent:
    """What yt-dlp prints; all that matters comes as exceptions."""

    def debug(self, message: str) -> None: ...

    info = warning = error = debug

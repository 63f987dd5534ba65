"""Ranks in both directions of a score matrix too large to hold: 50,000 tracks against 50,000 texts are 10 GB."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from .ranking import Relevant, check_finite, count_at_least, order_of_pairs, ranks_of_counts, relevant_pairs


def direction_ranks_in_blocks(
    score_rows: Callable[[int, int], NDArray],
    tracks: int,
    texts: int,
    track_of_text: Relevant | None = None,
    rows_per_block: int = 512,
) -> dict[str, list[NDArray[np.int64]]]:
    """`direction_ranks` from blocks of rows that are computed when they are needed, the same to the last tie.

    1. A first pass over the blocks keeps the scores of the matching pairs.
    2. A second pass counts, for every pair, the scores that reach it: those of its track's row within one block, those
       of its text's column added up over all blocks.
    3. The counts are turned into ranks.

    The pairs are scored in their blocks, not by themselves, since a product of another shape may round differently and
    then a pair would not even tie with itself.

    Args:
        score_rows: called with (start, stop), gives the scores (stop - start, texts) of these tracks with all texts. It
            is called twice for each block and must give the same both times. With unit vectors, for example,
            `lambda start, stop: track_vectors[start:stop] @ text_vectors.T`.
        tracks, texts: how many there are.
        track_of_text: as in `direction_ranks`.
        rows_per_block: tracks scored at once.

    Returns:
        As `direction_ranks`. At most about two blocks of scores and one of booleans are held at once, beside what
        `score_rows` holds, and some 100 bytes for each pair: 512 rows of 50,000 float32 scores take some 250 MB.

    Raises:
        ValueError: as `direction_ranks`, or if `score_rows` gives another shape or other scores the second time.
    """
    if track_of_text is None and tracks != texts:
        raise ValueError(f"{tracks} tracks and {texts} texts do not pair up by themselves: give track_of_text.")
    if rows_per_block < 1:
        raise ValueError(f"rows_per_block is 1 or more, not {rows_per_block}.")
    text, track = relevant_pairs(track_of_text, texts, tracks)

    def blocks() -> Iterator[tuple[int, slice, NDArray]]:
        """The first track of each block, the span of its pairs when they are sorted by track, and its scores."""
        for start in range(0, tracks, rows_per_block):
            stop = min(start + rows_per_block, tracks)
            block = np.asarray(score_rows(start, stop))
            if block.shape != (stop - start, texts):
                raise ValueError(f"score_rows({start}, {stop}) gave {block.shape}, not {(stop - start, texts)}.")
            check_finite(block)
            yield start, slice(*np.searchsorted(track, (start, stop))), block

    order = np.argsort(track, kind="stable")
    text, track = text[order], track[order]
    targets = np.concatenate([block[track[span] - start, text[span]] for start, span, block in blocks()])

    by_track = order_of_pairs(track, targets)  # moves pairs within their track alone: spans stay
    text, track, targets = text[by_track], track[by_track], targets[by_track]
    by_text = order_of_pairs(text, targets)
    in_row = np.empty(len(text), dtype=np.int64)
    in_column = np.zeros(len(text), dtype=np.int64)
    for start, span, block in blocks():
        row = track[span] - start
        if not np.array_equal(block[row, text[span]], targets[span]):
            raise ValueError(f"score_rows gave other scores for the tracks from {start} on when called again.")
        in_row[span] = count_at_least(block, row, targets[span], axis=0)
        in_column += count_at_least(block, text[by_text], targets[by_text], axis=1)
    return {
        "text_to_audio": ranks_of_counts(text[by_text], targets[by_text], in_column),
        "audio_to_text": ranks_of_counts(track, targets, in_row),
    }

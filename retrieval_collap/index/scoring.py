"""Scores of compressed sequences: the model's own alignment with texts, and how alike two tracks are."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from modeling_collap import CollapModel, CollapTextFeatures
from modeling_collap.structure import attended_scores, passages_share, places_in_tracks
from modeling_collap.text_features import passages_of

from .compression import STEPS_PER_SKETCH_STEP, SequenceCodec, rotated

# Tracks and texts are taken in groups whose largest tensor has about this many elements (8 MB).
_ELEMENTS = 2**20


@torch.inference_mode()
def alignment_with_texts(
    model: CollapModel, codec: SequenceCodec, records: Sequence[bytes], texts: CollapTextFeatures
) -> Tensor:
    """Fused scores (N, M) of compressed tracks with texts, see `CollapModel.score`.

    In float32, but reckoned in float64: sums of another order, as other tracks beside it or another group bring them,
    then leave a track's score as it is.
    """
    texts = _moved(texts, model.device)
    # Rotating the texts is less work than rotating every step back.
    turned = {
        name: rotated(getattr(texts, name)) for name in ("text_embeds", "passage_embeds") if name in texts.present()
    }
    texts = texts._replace(**turned)
    passages = 1 if texts.passage_places is None else texts.passage_places.shape[1]
    rows = [torch.zeros(0, len(texts.text_embeds))]
    for group in _groups(records, codec, max(codec.dim, passages)):
        steps, lengths = _decoded(codec, group, model.device)  # (n, S, D), (n,)
        at_once = max(_ELEMENTS // (steps.shape[0] * steps.shape[1] * passages), 1)
        parts = [texts.select(slice(i, i + at_once)) for i in range(0, len(texts.text_embeds), at_once)]
        rows.append(torch.cat([model.fused_score(steps, lengths, part, pool=codec.pool) for part in parts], dim=1))
    return torch.cat(rows).float().cpu()


@torch.inference_mode()
def sketch_scores(
    model: CollapModel, codec: SequenceCodec, sketches: Sequence[bytes], text: CollapTextFeatures
) -> Tensor:
    """About what the fused scores (N,) of tracks with one text are, by their sketches; for models that score passages.

    The passages are held against the sketch as if it were the sequence. For the paper's two terms stands what they come
    to if their attention is even: the mean cosine of the text with all steps of the sketch. The text as a whole is
    about that among the passages, too, but for the length of the mean, and the last step counts in full.
    """
    config = model.config
    text = text.to("cpu").float()  # most of the work is reading
    passages = passages_of(text)
    vectors = torch.cat([passages["passage_embeds"][0], text.text_embeds])  # (P + 1, D)
    found, lengths = codec.sketch_cosines(sketches, vectors)  # (sum of Q, P + 1), (N,)
    counts = torch.arange(int(lengths.max())) + 0.5  # (Q,)
    seconds = STEPS_PER_SKETCH_STEP * codec.pool / config.steps_per_second  # of a step of the sketch
    places = (counts / lengths[:, None]).masked_fill(counts > lengths[:, None], -1.0)  # (N, Q)
    cosines = found.new_zeros(*places.shape, len(vectors))
    cosines[places >= 0] = found
    structure = attended_scores(
        cosines[None, ..., :-1].permute(1, 0, 3, 2),  # (N, 1, P, Q)
        places,
        places_in_tracks(passages["passage_places"], passages.get("passage_seconds"), lengths * seconds),
        passages["passage_sharpness"][None],
        model.structure_temperature.item(),
    )[:, 0]  # (N,)
    whole = cosines[..., -1].sum(1) / lengths  # (N,)
    share = passages_share(passages["passage_places"], config.whole_text_weight).item()
    of_text = config.gamma_kernel + config.gamma_temporal + config.gamma_structure * (1 - share)
    return config.gamma_structure * share * structure + of_text * whole


@torch.inference_mode()
def likeness(codec: SequenceCodec, query: bytes, records: Sequence[bytes]) -> Tensor:
    """How alike a compressed track and others are, (N,) between -1 and 1; the same sequence is 1.

    Every step of one track is looked for in the other: its cosine with the step there that is most like it. These are
    averaged in both directions, and either direction counts as much as the track that it looks in is long. So of two
    tracks of one length each should have what the other has, wherever it comes, while a clip should be found in its
    song, and need not hold the rest of it.
    """
    own = F.normalize(codec.decode_rotated([query])[0][0], dim=1)  # (Q, D)
    scores = []
    for record in records:
        cosines = F.normalize(codec.decode_rotated([record])[0][0], dim=1) @ own.T  # (S, Q)
        here, there = cosines.amax(0).mean(), cosines.amax(1).mean()  # of the query's steps, and of the record's
        scores.append((len(cosines) * here + len(own) * there) / (len(cosines) + len(own)))
    return torch.stack(scores) if scores else torch.zeros(0)


def _decoded(codec: SequenceCodec, records: Sequence[bytes], device: torch.device) -> tuple[Tensor, Tensor]:
    """Steps (N, S, D), `rotated`, and lengths (N,)."""
    # One by one, for decoding several at once may move the last bits, too.
    steps = [codec.decode_rotated([record])[0][0].to(_precision(device)) for record in records]  # (S, D) each
    lengths = torch.tensor([len(track) for track in steps])
    return pad_sequence(steps, batch_first=True).to(device), lengths.to(device)


def _moved(texts: CollapTextFeatures, device: torch.device) -> CollapTextFeatures:
    precision = _precision(device)
    return CollapTextFeatures(**{name: rows.to(device, precision) for name, rows in texts.present().items()})


def _precision(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no other


def _groups(records: Sequence[bytes], codec: SequenceCodec, width: int) -> Iterator[list[bytes]]:
    """Consecutive records, as many as stay within `_ELEMENTS` when padded to the longest, at `width` numbers a step."""
    group: list[bytes] = []
    longest = 0
    for record in records:
        longest = max(longest, codec.steps(record))
        if group and longest * (len(group) + 1) * width > _ELEMENTS:
            yield group
            group, longest = [], codec.steps(record)
        group.append(record)
    if group:
        yield group

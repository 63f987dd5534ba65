"""What teaches the structure term: sections against passages, and a track against its own caption out of order."""

import math

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor

from modeling_collap import CollapModel, structure_scores
from training_collap import CaptionedTracks, CollapCollator
from training_collap.objectives import Embeddings, Objective, ObjectiveSection, build_objective
from training_collap.objectives.contrastive import shuffled
from training_collap.tags import TagVocabulary
from training_collap.task import TrainingTask, as_tensors, split_inputs

N, P, D = 3, 2, 6
TAGS = TagVocabulary(("pitch: high", "pitch: low"), (0.5, 0.5))


def model() -> CollapModel:
    return tiny.model(gamma_structure=1.0, seconds_per_structure_step=0.2)


def objective(net: CollapModel, **section: object) -> Objective:
    return build_objective(ObjectiveSection(**section), net)  # type: ignore[arg-type]


def songs_batch(tags: TagVocabulary | None = None, *, moments: bool = False) -> dict[str, Tensor]:
    tracks = CaptionedTracks(tiny.rows(3), window_seconds=tiny.WINDOW_SECONDS)
    return as_tensors(CollapCollator(tiny.processor(), tags, moments)([tracks[i] for i in range(3)]))


def rows_of(task: TrainingTask, batch: dict[str, Tensor]) -> Embeddings:
    audio, text = split_inputs(batch)
    texts = task._texts(**text)
    return {**texts, **task._tracks(texts, **audio)}


def contrast_in_loops(sounds: Tensor, words: Tensor, known: list[tuple[int, int]], *, own_track: float = 0.0) -> float:
    losses = []
    for a in known:
        loss = 0.0
        for share, rivals in ((1 - own_track, known), (own_track, [b for b in known if b[0] == a[0]])):
            rows = [
                [F.cosine_similarity(sounds[a], words[b], dim=0), F.cosine_similarity(sounds[b], words[a], dim=0)]
                for b in rivals
            ]
            own = F.cosine_similarity(sounds[a], words[a], dim=0)
            loss += share * float(((torch.tensor(rows) - own) / 0.07).logsumexp(0).mean())
        losses.append(loss)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("own_track", [0.0, 0.4, 1.0])
def test_sections_against_passages_in_loops(own_track: float) -> None:
    torch.manual_seed(0)
    net = model()
    sections = objective(net, sections=0.3, own_track=own_track)
    rows = {
        "scores": torch.randn(N, N),
        "passage_embeds": torch.randn(N, P, D),
        "passage_sections": torch.randn(N, P, D),
        "passage_places": torch.tensor([[0.2, 0.8], [0.5, -1.0], [0.1, 0.9]]),
        "passage_heard": torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
    }
    known = [(0, 0), (0, 1), (1, 0), (2, 1)]
    expected = contrast_in_loops(rows["passage_sections"], rows["passage_embeds"], known, own_track=own_track)
    base = objective(net)(net, rows).item()
    assert sections(net, rows).item() == pytest.approx(0.7 * base + 0.3 * expected, abs=1e-5)


def test_no_known_section_is_no_loss_and_no_error() -> None:
    net = model()
    task = TrainingTask(net, objective(net, sections=0.5))
    batch = songs_batch()
    batch["passage_spans"].fill_(-1.0)
    loss = task(**batch).loss
    loss.backward()
    assert loss.isfinite()


def test_tags_in_loops() -> None:
    torch.manual_seed(0)
    net = model()
    size = net.config.projection_dim
    shares = [0.5, 0.2]
    tags = build_objective(ObjectiveSection(tags=0.3), net, shares)
    torch.nn.init.normal_(tags.head.weight)
    rows = {
        "scores": torch.randn(N, N),
        "passage_embeds": torch.randn(N, P, size),
        "passage_sections": torch.randn(N, P, size),
        "passage_places": torch.tensor([[0.2, 0.8], [0.5, -1.0], [0.1, 0.9]]),
        "passage_heard": torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]]),
        "passage_tags": torch.tensor([[[1, 0], [0, 0]], [[1, 1], [0, 1]], [[1, 0], [-1, -1]]]).float(),
    }
    losses, entropies = [], [-(s * math.log(s) + (1 - s) * math.log(1 - s)) for s in shares]
    for n, p in [(0, 0), (0, 1), (1, 0)]:
        for vectors in (rows["passage_sections"], rows["passage_embeds"]):
            unit = vectors[n, p] / vectors[n, p].norm() * math.sqrt(size)
            for tag, logit in enumerate(tags.head(unit).tolist()):
                chance = 1 / (1 + math.exp(-logit))
                losses.append(-math.log(chance if rows["passage_tags"][n, p, tag] else 1 - chance))
    expected = (sum(losses) / len(losses)) / (sum(entropies) / len(entropies))
    base = objective(net)(net, rows).item()
    assert tags(net, rows).item() == pytest.approx(0.7 * base + 0.3 * expected, abs=1e-5)


def test_who_knows_no_more_than_how_frequent_tags_are_has_a_loss_of_one() -> None:
    net, batch = model(), songs_batch(TAGS)
    shares = (0.3, 0.05)
    known = batch["passage_tags"] >= 0
    # As often as they are on average.
    batch["passage_tags"] = torch.tensor(shares).expand_as(known).where(known, -1.0)
    task = TrainingTask(net, build_objective(ObjectiveSection(tags=0.5), net, shares))
    assert task.objective.added(net, rows_of(task, batch)).item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("section", [{"tags": 0.5}, {"tags": 0.5, "sections": 0.4, "order_negatives": 2}])
def test_tags_are_learned_from_sound_and_from_words(section: dict) -> None:
    """Half of the sections are high and half are low, and both their tones and their captions say so."""
    net, batch = model(), songs_batch(TAGS)
    task = TrainingTask(net, build_objective(ObjectiveSection(**section), net, TAGS.shares))
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        task(**batch).loss.backward()
        optimizer.step()
    rows = rows_of(task, batch)
    known = batch["passage_tags"].amin(-1) >= 0
    for name in ("passage_sections", "passage_embeds"):
        read = task.objective._read(rows[name][known])
        assert ((read > 0).float() == batch["passage_tags"][known]).float().mean() > 0.9, name


def test_no_known_tag_is_no_loss_and_no_error() -> None:
    net, batch = model(), songs_batch(TAGS)
    batch["passage_tags"].fill_(-1.0)
    loss = TrainingTask(net, build_objective(ObjectiveSection(tags=0.5), net, TAGS.shares))(**batch).loss
    loss.backward()
    assert loss.isfinite()


@torch.no_grad()
def test_a_section_is_the_mean_of_what_is_heard_in_its_span() -> None:
    net = model()
    batch = songs_batch()
    features, lengths = net.get_audio_features(**batch)
    rows = objective(net, sections=0.5).track_extras(net, batch, features, lengths, {})
    # The first song lasts 3 s: opening, verse and chorus of half its length each, in steps of 0.2 s.
    assert rows["passage_heard"][0].tolist() == [0, 1, 1]
    steps = F.normalize(features[0, :150].view(15, 10, -1).mean(1), dim=-1)
    for passage, span in ((1, steps[:7]), (2, steps[7:])):
        got, wanted = rows["passage_sections"][0, passage], span.sum(0)
        assert F.cosine_similarity(got, wanted, dim=0) > 0.99


def test_order_negatives_in_loops() -> None:
    torch.manual_seed(0)
    net = model()
    batch = songs_batch()
    task = TrainingTask(net, objective(net, order_negatives=2))
    torch.manual_seed(4)
    got = task(**batch).loss.item()

    torch.manual_seed(4)
    with torch.no_grad():
        texts = net.encode_text(**batch)
        orders = [shuffled(texts.passage_places) for _ in range(2)]
        features, lengths = net.get_audio_features(**batch)
        scores = net.score(features, lengths, texts)
        negatives = torch.zeros(3, 2)
        for k, places in enumerate(orders):
            structure = structure_scores(
                features,
                lengths,
                texts.passage_embeds,
                places,
                texts.passage_sharpness,
                temperature=net.structure_temperature,
                pool=net.config.structure_pool,
            ).diagonal()
            negatives[:, k] = scores.fused.diagonal() - scores.structure.diagonal() + structure
        expected = 0.0
        factor = net.logit_factor.item()
        for i in range(3):
            for row in (scores.fused[i], scores.fused[:, i]):
                others = [math.exp(factor * float(s)) for s in (*row, *negatives[i])]
                expected += math.log(sum(others)) - factor * float(scores.fused[i, i])
    assert got == pytest.approx(expected / 6, abs=1e-4)


def test_shuffled_places_are_the_same_places() -> None:
    places = torch.tensor([[0.1, 0.3, 0.6, 0.9], [0.2, -1.0, 0.7, -1.0], [0.5, -1.0, -1.0, -1.0]])
    seen = set()
    for seed in range(200):
        torch.manual_seed(seed)
        got = shuffled(places)
        assert torch.equal(got < 0, places < 0)
        assert torch.equal(got.sort(1).values, places.sort(1).values)
        seen.add(tuple(got[0].tolist()))
    assert len(seen) == 24, "all orders come up"


def test_order_negatives_teach_order() -> None:
    """Two halves, and passages that start out knowing nothing of places: training makes the true order win."""
    torch.manual_seed(0)
    track = torch.randn(2, 4)
    features = torch.cat([track[:1].expand(10, 4), track[1:].expand(10, 4)])[None]
    sharpness = torch.zeros(1, 2, requires_grad=True)
    places, flipped = torch.tensor([[0.25, 0.75]]), torch.tensor([[0.75, 0.25]])

    def gap() -> Tensor:
        true, false = (
            structure_scores(features, torch.tensor([20]), track[None], order, sharpness, temperature=1.0)
            for order in (places, flipped)
        )
        return true - false

    assert gap().item() == pytest.approx(0, abs=1e-6)
    optimizer = torch.optim.Adam([sharpness], lr=1.0)
    for _ in range(20):
        optimizer.zero_grad()
        F.softplus(-10 * gap()).sum().backward()
        optimizer.step()
    assert gap() > 0.2


@pytest.mark.parametrize("section", [{"order_negatives": 2}, {"sections": 0.3}])
def test_a_model_without_passages_cannot_learn_from_them(section: dict) -> None:
    with pytest.raises(ValueError, match="needs a model that scores passages"):
        objective(tiny.model(), **section)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "sigmoid", "order_negatives": 1}, "belongs to the contrastive loss"),
        ({"order_negatives": -1}, "at least 0"),
        ({"sections": 1.0}, "between 0 and 1"),
        ({"sections": 0.5, "own_track": 1.5}, "own_track is a share"),
        ({"tags": 0.5, "own_track": 0.5}, "give one of them a share"),
    ],
)
def test_settings_that_make_no_sense(section: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        objective(model(), **section)


def moment_task(**options: float) -> TrainingTask:
    net = tiny.model(gamma_structure=1.0, whole_text_weight=1.0, seconds_per_structure_step=0.2, **options)
    return TrainingTask(net, objective(net, moments=0.5))


@pytest.mark.parametrize("own_track", [0.0, 0.5])
def test_moments_in_loops(own_track: float) -> None:
    torch.manual_seed(0)
    net = model()
    moments = objective(net, moments=0.3, own_track=own_track)
    rows = {
        "scores": torch.randn(N, N),
        "passage_moments": torch.randn(N, P, D),
        "passage_told": torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
        "passage_sections": torch.randn(N, P, D),
    }
    known = [(0, 0), (0, 1), (1, 0), (2, 1)]
    expected = contrast_in_loops(rows["passage_sections"], rows["passage_moments"], known, own_track=own_track)
    base = objective(net)(net, rows).item()
    assert moments(net, rows).item() == pytest.approx(0.7 * base + 0.3 * expected, abs=1e-5)


@torch.no_grad()
def test_a_moment_is_what_its_caption_says_by_itself() -> None:
    """The opening line against the whole track, and every section's caption against its seconds."""
    task, batch = moment_task(), songs_batch(moments=True)
    net, song = task.model, tiny.rows(3)[0]
    rows = rows_of(task, batch)
    said = [song["global_caption"], *(section["caption"] for section in song["structure"])]
    expected = net.text_vectors(net.encode_text(**tiny.processor()(text=said, return_tensors="pt")))
    assert rows["passage_told"][0].tolist() == [1, 1, 1]
    torch.testing.assert_close(rows["passage_moments"][0], expected, atol=1e-5, rtol=1e-4)
    features, lengths = net.get_audio_features(**batch)
    steps = F.normalize(features[0, : lengths[0]].view(15, 10, -1).mean(1), dim=-1)
    for heard, part in zip(rows["passage_sections"][0], (steps, steps[:7], steps[7:]), strict=True):
        assert F.cosine_similarity(heard, part.sum(0), dim=0) > 0.99


def test_moments_are_learned() -> None:
    """Captions and tones of a section are both high or both low: by itself a caption then finds its half of a song."""
    task, batch = moment_task(), songs_batch(moments=True)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = task(**batch).loss
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        rows = rows_of(task, batch)
    for song, spans in enumerate(batch["passage_spans"]):
        heard, said = (rows[name][song, spans[:, 0] >= 0] for name in ("passage_sections", "passage_moments"))
        assert (F.normalize(heard, dim=-1) @ F.normalize(said, dim=-1).T).argmax(0).tolist() == [0, 1]


def test_a_batch_in_which_nothing_is_told_has_no_moments() -> None:
    task, batch = moment_task(), songs_batch(moments=True)
    batch["moment_attention_mask"].zero_()
    loss = task(**batch).loss
    loss.backward()
    assert loss.isfinite()
    tracks = CaptionedTracks(tiny.rows(3), window_seconds=tiny.WINDOW_SECONDS)
    untold = [{**tracks[i], "lines": []} for i in range(3)]
    nothing = as_tensors(CollapCollator(tiny.processor(), moments=True)(untold))
    assert not nothing["moment_attention_mask"].any()
    assert task(**nothing).loss.isfinite()

"""A start from embeddings without a common direction."""

import tiny
import torch

from training_collap.centering import center_projections


def test_embeddings_average_to_zero_and_unrelated_cosines_fall() -> None:
    model, batch = tiny.model(), tiny.batch()
    with torch.no_grad():
        model.text_projection.bias += 3.0  # a strong common direction
        before = torch.nn.functional.normalize(model.get_text_features(**batch), dim=-1)
        center_projections(model, batch)
        texts = model.get_text_features(**batch)  # (M, D)
        features, lengths = model.get_audio_features(**batch)
    after = torch.nn.functional.normalize(texts, dim=-1)
    steps = torch.cat([track[:length] for track, length in zip(features, lengths, strict=True)])
    torch.testing.assert_close(texts.mean(0), torch.zeros_like(texts[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(steps.mean(0), torch.zeros_like(steps[0]), atol=1e-5, rtol=0)
    assert (before @ before.T).min() > 0.8 > (after @ after.T).min()


def test_mode_is_kept() -> None:
    model = tiny.model().train()
    center_projections(model, tiny.batch())
    assert model.training

"""The composite model: texts, scores, loss, precision, and assembling it from pretrained backbones."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import (
    AutoModel,
    GPT2Config,
    GPT2LMHeadModel,
    RobertaConfig,
    RobertaForMaskedLM,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from modeling_collap import BeatsConfig, BeatsModel, CollapConfig, CollapModel, contrastive_loss
from modeling_collap.convert_beats import CONFIG_ENTRIES, ORIGINAL_NAMES
from modeling_collap.modeling_collap import text_limit

BRANCHES = {"both": {}, "whisper": {"beats_config": None}, "beats": {"whisper_config": None}}


def ids(*lengths: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, 250, (length,), generator=generator) for length in lengths]


def padded(texts: list[torch.Tensor], side: str, *, junk: int = 1) -> dict[str, torch.Tensor]:
    """Token ids and mask (M, L); padding holds the token `junk`."""
    width = max(map(len, texts))
    input_ids = torch.full((len(texts), width), junk)
    mask = torch.zeros(len(texts), width, dtype=torch.long)
    for i, text in enumerate(texts):
        where = slice(0, len(text)) if side == "right" else slice(width - len(text), width)
        input_ids[i, where], mask[i, where] = text, 1
    return {"input_ids": input_ids, "attention_mask": mask}


class TestConfig:
    def test_paper_defaults(self) -> None:
        config = CollapConfig()
        assert (config.text_config.model_type, config.projection_dim, config.window_seconds) == ("gpt2", 512, 30.0)
        assert (config.steps_per_second, config.kernel_size, config.stride) == (50.0, 500, 50)
        assert (config.gamma_kernel, config.gamma_temporal, config.attention_temperature) == (0.5, 0.5, 1.0)
        assert (config.beats_time_alignment, config.text_pooling) == ("interleaved", "last")
        assert CollapConfig(text_config={"model_type": "roberta"}).text_pooling == "first"

    @pytest.mark.parametrize(
        ("seconds", "steps"),
        # floor(1500 s / 30): exact multiples must not fall to the number below, everything else rounds down
        [(0.02, 1), (0.58, 29), (1.1, 55), (2.3, 115), (0.999, 49), (0.0399, 1), (4.6, 230), (30, 1500)],
    )
    def test_kernel_and_stride_round_down(self, seconds: float, steps: int) -> None:
        config = CollapConfig(seconds_per_kernel=seconds, seconds_per_stride=seconds)
        assert (config.kernel_size, config.stride) == (steps, steps)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"whisper_config": None, "beats_config": None}, "at least one audio branch"),
            ({"normalization": "max"}, "normalization must be one of mean, paper"),
            ({"beats_time_alignment": "other"}, "beats_time_alignment"),
            ({"text_pooling": "max"}, "text_pooling"),
            ({"seconds_per_kernel": 0.01}, "at least one time step"),
            ({"seconds_per_stride": -1.0}, "seconds_per_stride must be above 0"),
            ({"attention_temperature": 0.0}, "attention_temperature must be above 0"),
            ({"gamma_kernel": 0.0, "gamma_temporal": 0.0}, "no score is left"),
        ],
    )
    def test_impossible_options_raise(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            CollapConfig(**options)

    @pytest.mark.parametrize("branch", BRANCHES)
    def test_survives_saving(self, branch: str, tmp_path: Path) -> None:
        config = CollapConfig(**tiny.collap_options("roberta", gamma_kernel=0.25, **BRANCHES[branch]))
        config.save_pretrained(tmp_path)
        loaded = CollapConfig.from_pretrained(tmp_path)
        assert (loaded.whisper_config is None) == (branch == "beats")
        assert (loaded.beats_config is None) == (branch == "whisper")
        assert loaded.to_dict() == config.to_dict()
        assert loaded.gamma_kernel == 0.25


class TestText:
    @pytest.mark.parametrize("pooling", [None, "last", "first", "mean"])
    @pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
    def test_padding_and_batch_change_nothing(self, backbone: str, pooling: str | None) -> None:
        model = tiny.model(backbone, text_pooling=pooling)
        texts = ids(9, 3, 14)
        alone = torch.cat([model.get_text_features(text[None]) for text in texts])  # (3, D)
        assert (alone[0] - alone[2]).abs().max() > 0.01, "the texts must differ, or the rest shows nothing"
        for side in ("right", "left"):
            for junk in (1, 7):
                batched = model.get_text_features(**padded(texts, side, junk=junk))
                torch.testing.assert_close(batched, alone, atol=1e-5, rtol=1e-5)

    def test_gpt2_needs_no_padding_token(self) -> None:
        model, texts = tiny.model("gpt2"), ["a slow piano ballad with a soft verse", "drums"]
        assert tiny.tokenizer("gpt2").pad_token is None
        assert model.config.text_config.pad_token_id is None
        processor = tiny.processor("gpt2")
        alone = torch.cat([model.get_text_features(**processor(text=text)) for text in texts])
        for side in ("right", "left"):
            batched = model.get_text_features(**processor(text=texts, padding_side=side))
            torch.testing.assert_close(batched, alone, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
    def test_pooling(self, backbone: str) -> None:
        (text,) = ids(6)
        features = {}
        for pooling in ("last", "first", "mean"):
            model = tiny.model(backbone, text_pooling=pooling)
            states = model.text_model(text[None]).last_hidden_state[0]  # (L, d)
            pooled = {"last": states[-1], "first": states[0], "mean": states.mean(0)}[pooling]
            features[pooling] = model.get_text_features(text[None])[0]
            torch.testing.assert_close(features[pooling], model.text_projection(pooled))
        assert (features["last"] - features["first"]).abs().max() > 0.01
        assert (features["last"] - features["mean"]).abs().max() > 0.01

    @pytest.mark.parametrize(("backbone", "limit"), [("gpt2", 64), ("roberta", 64), ("gpt2", 1024), ("roberta", 512)])
    def test_limit(self, backbone: str, limit: int) -> None:
        """1024 and 512 are the real models' limits; RoBERTa's 514 positions leave two unused."""
        model = tiny.model(backbone, text_config=tiny.text_config(backbone, limit))
        assert text_limit(model.config.text_config) == limit
        longest, longer, short = ids(limit, limit + 1, 5)
        for side in ("left", "right"):
            assert model.get_text_features(**padded([longest, short], side)).isfinite().all()
        with pytest.raises(ValueError, match=f"{limit + 1} tokens, but {backbone} reads at most {limit}"):
            model.get_text_features(longer[None])

    def test_text_without_tokens_raises(self) -> None:
        with pytest.raises(ValueError, match="text 1 of the batch has no token"):
            tiny.model().get_text_features(torch.ones(2, 3, dtype=torch.long), torch.tensor([[1, 1, 0], [0, 0, 0]]))

    def test_missing_texts_raise(self) -> None:
        inputs = tiny.batch()
        del inputs["input_ids"]
        with pytest.raises(ValueError, match="input_ids are missing"):
            tiny.model()(**inputs)


class TestScores:
    @pytest.mark.parametrize("branch", BRANCHES)
    @pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
    def test_alone_as_in_a_batch(self, backbone: str, branch: str) -> None:
        """Tracks of 4, 1 and 3 windows; the second has a last window too short for a BEATs token."""
        seconds, texts = (3.3, 0.7, 2.1), ["a slow piano ballad", "drums and guitar enter, the song grows", "bass"]
        model = tiny.model(backbone, logit_scale_init=0.0, **BRANCHES[branch])
        together = model(**tiny.batch(backbone, seconds, texts)).logits_per_audio  # (3, 3)
        assert together.std() > 0.01, "the scores must differ, or the rest shows nothing"
        processor = tiny.processor(backbone)
        for i, length in enumerate(seconds):
            for j, text in enumerate(texts):
                audio = tiny.tone(length, 220.0 * (i + 1), seed=i)
                score = model(**processor(audio=audio, text=text, sampling_rate=tiny.RATE)).logits_per_audio
                assert score.item() == pytest.approx(together[i, j].item(), abs=1e-4)

    def test_output(self) -> None:
        model, inputs = tiny.model(), tiny.batch()
        output = model(**inputs, return_loss=True)
        features, lengths = model.get_audio_features(**inputs)
        torch.testing.assert_close(output.audio_features, features)
        assert output.lengths.tolist() == lengths.tolist() == [130, 50, 20]
        torch.testing.assert_close(output.text_embeds, model.get_text_features(**inputs))
        fused = model.score(features, lengths, output.text_embeds).fused
        torch.testing.assert_close(output.logits_per_audio, fused * model.logit_scale.exp())
        torch.testing.assert_close(output.logits_per_text, output.logits_per_audio.T)
        assert model(**inputs).loss is None

    def test_options_reach_the_scores(self) -> None:
        inputs = tiny.batch()
        scores = {
            name: tiny.model(**options)(**inputs).logits_per_audio
            for name, options in {
                "default": {},
                "paper": {"normalization": "paper"},
                "kernel only": {"gamma_temporal": 0.0},
                "sharp": {"attention_temperature": 20.0},
                "stride": {"seconds_per_stride": 0.1},
                "kernel": {"seconds_per_kernel": 0.3},
            }.items()
        }
        for name, score in scores.items():
            assert name == "default" or (score - scores["default"]).abs().max() > 1e-4, name

    def test_same_input_same_scores(self) -> None:
        model, inputs = tiny.model(beats_config=tiny.beats_config(layerdrop=0.5, hidden_dropout=0.5)), tiny.batch()
        assert torch.equal(model(**inputs).logits_per_audio, model(**inputs).logits_per_audio)


class TestLoss:
    @pytest.mark.parametrize("symmetric", [True, False])
    def test_directions(self, symmetric: bool) -> None:
        output = tiny.model(symmetric_loss=symmetric)(**tiny.batch(), return_loss=True)
        rows = -output.logits_per_audio.log_softmax(1).diagonal().mean()
        columns = -output.logits_per_audio.log_softmax(0).diagonal().mean()
        assert abs(rows - columns) > 1e-3
        torch.testing.assert_close(output.loss, (rows + columns) / 2 if symmetric else rows)
        torch.testing.assert_close(output.loss, contrastive_loss(output.logits_per_audio, symmetric=symmetric))

    def test_logit_scale_stops_at_100(self) -> None:
        inputs = tiny.batch()
        fused = tiny.model(logit_scale_init=0.0)(**inputs).logits_per_audio
        torch.testing.assert_close(tiny.model(logit_scale_init=2.0)(**inputs).logits_per_audio, fused * 7.389056)
        torch.testing.assert_close(
            tiny.model(logit_scale_init=9.0)(**inputs).logits_per_audio, fused * 100, rtol=1e-4, atol=1e-4
        )

    def test_fixed_logit_scale_stays_fixed_after_loading(self, tmp_path: Path) -> None:
        model = tiny.model(learn_logit_scale=False, logit_scale_init=0.5)
        model.save_pretrained(tmp_path)
        for candidate in (model, CollapModel.from_pretrained(tmp_path)):
            assert "logit_scale" not in {name for name, p in candidate.named_parameters() if p.requires_grad}
            assert candidate.logit_scale.item() == 0.5

    def test_trained_logit_scale_is_loaded(self, tmp_path: Path) -> None:
        model = tiny.model()
        with torch.no_grad():
            model.logit_scale.fill_(1.25)
        model.save_pretrained(tmp_path)
        loaded = CollapModel.from_pretrained(tmp_path)
        assert loaded.logit_scale.item() == 1.25
        assert loaded.logit_scale.requires_grad

    def test_learned_attention_temperature(self, tmp_path: Path) -> None:
        model = tiny.model(learn_attention_temperature=True, attention_temperature=5.0)
        inputs = tiny.batch()
        torch.testing.assert_close(
            model(**inputs).logits_per_audio, tiny.model(attention_temperature=5.0)(**inputs).logits_per_audio
        )
        model(**inputs, return_loss=True).loss.backward()
        assert model.attention_log_temperature.grad.abs() > 0
        with torch.no_grad():
            model.attention_log_temperature.fill_(0.75)
        model.save_pretrained(tmp_path)
        assert CollapModel.from_pretrained(tmp_path).attention_log_temperature.item() == 0.75

    @pytest.mark.parametrize("branch", BRANCHES)
    @pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
    def test_no_dead_parameter(self, backbone: str, branch: str) -> None:
        model = tiny.model(backbone, text_pooling="mean", learn_attention_temperature=True, **BRANCHES[branch]).train()
        model(**tiny.batch(backbone), return_loss=True).loss.backward()
        trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        assert [name for name, grad in trained.items() if grad is None] == []
        assert [name for name, grad in trained.items() if not grad.isfinite().all() or not grad.any()] == []

    @pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
    def test_gradient_checkpointing(self, backbone: str) -> None:
        inputs, gradients, losses = tiny.batch(backbone), [], []
        for checkpointing in (False, True):
            model = tiny.model(backbone, beats_config=tiny.beats_config(layerdrop=0.3)).train()
            if checkpointing:
                model.activation_checkpointing_enable()
                assert model.is_activation_checkpointing
            torch.manual_seed(3)
            loss = model(**inputs, return_loss=True).loss
            loss.backward()
            losses.append(loss.item())
            gradients.append({name: p.grad for name, p in model.named_parameters()})
        assert losses[0] == losses[1]
        torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-5)


class TestPrecision:
    def test_bfloat16_autocast(self) -> None:
        model, inputs = tiny.model(), tiny.batch()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(**inputs, return_loss=True)
        output.loss.backward()
        assert output.loss.dtype == output.logits_per_audio.dtype == torch.float32
        assert output.audio_features.dtype == torch.bfloat16
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
        torch.testing.assert_close(output.logits_per_audio, model(**inputs).logits_per_audio, atol=0.3, rtol=0.1)

    @pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
    def test_loading_in_bfloat16_keeps_the_scalars_exact(self, backbone: str, tmp_path: Path) -> None:
        inputs = tiny.batch(backbone)
        model = tiny.model(backbone, learn_attention_temperature=True)
        model.save_pretrained(tmp_path)
        half = CollapModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
        full_precision = {name for name, p in half.named_parameters() if p.dtype == torch.float32}
        assert full_precision == {"logit_scale", "attention_log_temperature"}
        torch.testing.assert_close(half.logit_scale, model.logit_scale)
        scores = half(**inputs).logits_per_audio
        assert scores.dtype == torch.float32
        assert scores.isfinite().all()


class TestSaving:
    @pytest.mark.parametrize("branch", BRANCHES)
    @pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
    def test_loaded_model_scores_the_same(self, backbone: str, branch: str, tmp_path: Path) -> None:
        model, inputs = tiny.model(backbone, **BRANCHES[branch]), tiny.batch(backbone)
        model.save_pretrained(tmp_path)
        assert list(tmp_path.glob("*.safetensors"))
        assert not list(tmp_path.glob("*.bin"))
        loaded, report = CollapModel.from_pretrained(tmp_path, output_loading_info=True)
        assert not report["missing_keys"]
        assert not report["unexpected_keys"]
        assert not loaded.training
        assert torch.equal(loaded(**inputs).logits_per_audio, model(**inputs).logits_per_audio)


def save_text(backbone: str, folder: Path) -> Path:
    options = {key: value for key, value in tiny.text_config(backbone).items() if key != "model_type"}
    if backbone == "gpt2":
        GPT2LMHeadModel(GPT2Config(**options)).save_pretrained(folder)
    else:
        RobertaForMaskedLM(RobertaConfig(**options)).save_pretrained(folder)
    return folder


def save_beats(path: Path) -> BeatsModel:
    """A checkpoint in the format of microsoft/unilm, and the model that is in it."""
    torch.manual_seed(7)
    config = BeatsConfig(**tiny.beats_config())
    model = BeatsModel(config)
    weights = {ORIGINAL_NAMES.get(name, name): weight for name, weight in model.state_dict().items()}
    torch.save({"cfg": {old: getattr(config, new) for new, old in CONFIG_ENTRIES.items()}, "model": weights}, path)
    return model


def assert_same_weights(module: torch.nn.Module, reference: torch.nn.Module) -> None:
    weights, expected = module.state_dict(), reference.state_dict()
    assert set(weights) == {name for name in expected if not name.startswith("pooler.")}
    for name, weight in weights.items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, expected[name].float()), name


class TestFromBackbones:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
    def test_weights_are_the_pretrained_ones(self, backbone: str, dtype: torch.dtype, tmp_path: Path) -> None:
        """Whatever precision a backbone was published in, training starts from float32."""
        text = save_text(backbone, tmp_path / "text")
        whisper = WhisperForConditionalGeneration(WhisperConfig(**tiny.whisper_config())).to(dtype)
        whisper.save_pretrained(tmp_path / "whisper")
        beats = save_beats(tmp_path / "beats.pt")
        model = CollapModel.from_backbones(
            text=str(text),
            whisper=str(tmp_path / "whisper"),
            beats=str(tmp_path / "beats.pt"),
            projection_dim=24,
            window_seconds=1.0,
        )
        assert not model.training
        assert model.config.projection_dim == 24
        assert model.config.steps_per_second == 50
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert_same_weights(model.text_model, AutoModel.from_pretrained(text))
        assert_same_weights(model.audio_encoder.whisper, whisper.model.encoder)
        assert_same_weights(model.audio_encoder.beats, beats)
        assert model(**tiny.batch(backbone)).logits_per_audio.isfinite().all()

    def test_branches_can_be_left_out(self, tmp_path: Path) -> None:
        text = save_text("gpt2", tmp_path / "text")
        save_beats(tmp_path / "beats.pt").save_pretrained(tmp_path / "beats")
        model = CollapModel.from_backbones(text=text, whisper=None, beats=tmp_path / "beats", window_seconds=1.0)
        assert model.config.whisper_config is None
        assert model.audio_encoder.whisper is None
        assert_same_weights(model.audio_encoder.beats, BeatsModel.from_pretrained(tmp_path / "beats"))

    def test_original_checkpoint_of_the_oracles(self, oracles: Path, tmp_path: Path) -> None:
        text = save_text("gpt2", tmp_path / "text")
        checkpoint = oracles / "beats_tiny.pt"
        model = CollapModel.from_backbones(text=text, whisper=None, beats=checkpoint)
        assert_same_weights(model.audio_encoder.beats, BeatsModel.from_original_checkpoint(checkpoint))

    def test_missing_files_are_named(self, tmp_path: Path) -> None:
        text = save_text("gpt2", tmp_path / "text")
        with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
            CollapModel.from_backbones(text=text, whisper=None, beats=tmp_path / "absent.pt")
        with pytest.raises(OSError, match="no-such-whisper"):
            CollapModel.from_backbones(text=text, whisper=str(tmp_path / "no-such-whisper"), beats=None)
        with pytest.raises(OSError, match="no-such-text"):
            CollapModel.from_backbones(text=str(tmp_path / "no-such-text"), beats=None)

"""Training runs, end to end on a tiny dataset: what they save, that they resume, learn and evaluate exactly."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import AutoModel, TrainerCallback, TrainingArguments

from modeling_collap import CollapModel, contrastive_loss
from training_collap import CaptionedTracks, CollapCollator, CollapTrainer, load_recipe, run

ROOT = Path(__file__).resolve().parents[2]
VALIDATION_TRACKS = 5  # no multiple of any batch size below


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_dataset(tmp_path_factory.mktemp("songs") / "tones", train=6, validation=VALIDATION_TRACKS)


@pytest.fixture
def start(dataset: Path, tmp_path: Path) -> Callable[..., dict[str, float]]:
    """Runs the tiny recipe in a folder, with `TrainingArguments` of the caller's."""

    def start(folder: str, *overrides: str, **training: Any) -> dict[str, float]:
        path = tmp_path / f"{folder}.yaml"
        return run(
            load_recipe(tiny.write_recipe(path, tiny.recipe(dataset, tmp_path / folder, **training)), list(overrides))
        )

    return start


def make_trainer(folder: Path, model: CollapModel | None = None, tracks: Any = None, **options: Any) -> CollapTrainer:
    processor = tiny.processor()
    return CollapTrainer(
        model=model or tiny.model(),
        args=TrainingArguments(**tiny.training_options(folder, **options)),
        processing_class=processor,
        data_collator=CollapCollator(processor),
        train_dataset=tracks or CaptionedTracks(tiny.rows(6)),
        eval_dataset=CaptionedTracks(tiny.rows(VALIDATION_TRACKS)),
    )


def test_run(start: Callable[..., dict[str, float]], tmp_path: Path) -> None:
    metrics = start("run")
    folder = tmp_path / "run"
    for direction in ("text_to_audio", "audio_to_text"):
        assert metrics[f"eval_{direction}_R@5"] == 100  # of five tracks
        assert 0 <= metrics[f"eval_{direction}_R@1"] <= 100
        assert 1 <= metrics[f"eval_{direction}_median_rank"] <= VALIDATION_TRACKS
    assert metrics["eval_loss"] > 0
    losses = tiny.logged(folder, "loss")
    assert set(losses) == {1, 2, 3, 4}
    assert all(0 < loss < 10 for loss in losses.values())
    assert set(tiny.logged(folder, "eval_text_to_audio_R@5")) == {2, 4}
    assert json.loads((folder / "eval_results.json").read_text())["eval_text_to_audio_mAP@10"] > 0
    for saved in (folder, folder / "checkpoint-2", folder / "checkpoint-4"):
        files = {path.name for path in saved.iterdir()}
        assert {"model.safetensors", "config.json", "processor_config.json", "tokenizer.json"} <= files
        assert {"modeling_collap.py", "processing_collap.py"} <= files
    model = CollapModel.from_pretrained(folder)
    assert model.config.text_config.pad_token_id == 1
    before = AutoModel.from_pretrained(folder / "checkpoint-2", trust_remote_code=True)
    assert not torch.equal(model.audio_encoder.adapter.weight, before.audio_encoder.adapter.weight)


class StopAt(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = state.global_step >= self.step


def test_interrupted_run_goes_on_as_if_nothing_had_happened(
    start: Callable[..., dict[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six songs in batches of three: step 3 of 5 is the middle of the second epoch, and crops differ by epoch."""
    options = {"max_steps": 5, "save_steps": 1}
    crops = ("data.crop_windows=2",)
    whole = start("whole", *crops, **options)
    with monkeypatch.context() as patch:
        initialise = CollapTrainer.__init__

        def stopping(self: CollapTrainer, *args: Any, **kwargs: Any) -> None:
            initialise(self, *args, **kwargs)
            self.add_callback(StopAt(3))

        patch.setattr(CollapTrainer, "__init__", stopping)
        start("resumed", *crops, **options)
    assert not (tmp_path / "resumed" / "checkpoint-4").exists()
    resumed = start("resumed", *crops, **options)
    assert (tmp_path / "resumed" / "checkpoint-5").is_dir()
    assert resumed == pytest.approx(whole, abs=1e-6)
    expected, got = (tiny.logged(tmp_path / name, "loss") for name in ("whole", "resumed"))
    assert set(got) == {1, 2, 3, 4, 5}
    assert got == pytest.approx(expected, abs=1e-6)


def test_recipe_with_a_feature_store_trains_the_same(start: Callable[..., dict[str, float]], tmp_path: Path) -> None:
    """Features are kept in half precision, so losses agree to that."""
    start("decoded", "data.crop_windows=2")
    start("stored", "data.crop_windows=2", f"data.feature_store={tmp_path / 'features'}")
    decoded, stored = (tiny.logged(tmp_path / name, "loss") for name in ("decoded", "stored"))
    assert stored == pytest.approx(decoded, abs=0.02)


def test_backbones_recipe(dataset: Path, tmp_path: Path) -> None:
    """From a pretrained text encoder with a tokenizer of its own, without Whisper."""
    tiny.model().text_model.save_pretrained(tmp_path / "gpt2")
    tiny.tokenizer("gpt2", limit=1000).save_pretrained(tmp_path / "gpt2")
    tiny.model().audio_encoder.beats.save_pretrained(tmp_path / "beats")
    content = tiny.recipe(dataset, tmp_path / "run", max_steps=1, eval_strategy="no")
    backbones = {"text": str(tmp_path / "gpt2"), "whisper": None, "beats": str(tmp_path / "beats")}
    content["model"] = {"backbones": backbones, "config": {"projection_dim": 8, "window_seconds": 1.0}}
    metrics = run(load_recipe(tiny.write_recipe(tmp_path / "recipe.yaml", content)))
    assert metrics["eval_loss"] > 0
    saved = json.loads((tmp_path / "run" / "processor_config.json").read_text())
    assert not saved["feature_extractor"]["return_whisper"]
    limit = json.loads((tmp_path / "run" / "tokenizer_config.json").read_text())["model_max_length"]
    assert limit == tiny.TEXT_LIMIT, "the text encoder's limit, whatever the tokenizer claims"


@pytest.mark.parametrize("workers", [0, 1])
def test_score_matrix_depends_on_no_batch_size(tmp_path: Path, workers: int) -> None:
    """All tracks count, also those of a last batch that training would drop."""
    model, expected = tiny.model().train(), None
    for batch_size in (1, 2, 3, 8) if workers == 0 else (2,):
        trainer = make_trainer(tmp_path, model, per_device_eval_batch_size=batch_size, dataloader_num_workers=workers)
        scores = trainer.score_matrix(trainer.eval_dataset)
        assert model.training, "evaluation leaves the model as it was"
        assert scores.shape == (VALIDATION_TRACKS, VALIDATION_TRACKS)
        expected = scores if expected is None else expected
        torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
    rows = tiny.rows(VALIDATION_TRACKS)
    audio = [row["audio"] for row in rows]
    inputs = tiny.processor()(audio=audio, text=list(rows["caption"]), sampling_rate=None)
    with torch.no_grad():
        logits = model.eval()(**inputs).logits_per_audio
    torch.testing.assert_close(expected * model.logit_factor, logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("symmetric", [True, False])
def test_evaluation_loss_is_the_training_loss(tmp_path: Path, symmetric: bool) -> None:
    model = tiny.model(symmetric_loss=symmetric, logit_scale_init=7.0)  # beyond the bound
    trainer = make_trainer(tmp_path, model)
    metrics = trainer.evaluate()
    logits = 100 * trainer.score_matrix(trainer.eval_dataset)
    expected = contrastive_loss(logits, symmetric=symmetric)
    assert metrics["eval_loss"] == pytest.approx(expected.item(), rel=1e-4)
    other = trainer.evaluate(CaptionedTracks(tiny.rows(2)), metric_key_prefix="test")
    assert other["test_text_to_audio_R@5"] == 100
    assert other["test_loss"] != metrics["eval_loss"]


def test_best_model_is_chosen_by_retrieval(tmp_path: Path) -> None:
    trainer = make_trainer(
        tmp_path,
        max_steps=2,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_text_to_audio_mAP@10",
        greater_is_better=True,
    )
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "eval_text_to_audio_mAP@10" in entry]
    best = max(history, key=lambda entry: entry["eval_text_to_audio_mAP@10"])
    assert trainer.state.best_metric == best["eval_text_to_audio_mAP@10"]
    assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{best['step']}")


def test_scalars_and_norms_are_not_decayed(tmp_path: Path) -> None:
    model = tiny.model(learn_attention_temperature=True)
    decayed = set(make_trainer(tmp_path, model).get_decay_parameter_names(model))
    assert "audio_encoder.adapter.weight" in decayed
    assert "text_projection.weight" in decayed
    scalars = {name for name, parameter in model.named_parameters() if parameter.numel() == 1}
    assert scalars == {"logit_scale", "attention_log_temperature"}
    assert not decayed & scalars
    assert not [name for name in decayed if "norm" in name or name.endswith("bias")]


class FixedBatch(torch.utils.data.Dataset):
    """The same four songs with the same four captions."""

    def __init__(self) -> None:
        tracks = CaptionedTracks(tiny.rows(4))
        self.examples = [
            {**tracks[index], "caption": caption, "lines": []} for index, caption in enumerate(tiny.CAPTIONS)
        ]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.examples[index]


def test_learns_four_pairs_by_heart(tmp_path: Path) -> None:
    trainer = make_trainer(
        tmp_path,
        tiny.model(text_pooling="mean"),
        FixedBatch(),
        per_device_train_batch_size=4,
        max_steps=25,
        learning_rate=0.003,
        lr_scheduler_type="constant",
        logging_steps=1,
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 25
    assert sum(losses[-5:]) / 5 < 0.3 * losses[0]


@pytest.mark.parametrize("options", [{}, {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}])
def test_every_epoch_has_crops_of_its_own(tmp_path: Path, options: dict[str, Any]) -> None:
    tracks = CaptionedTracks(tiny.rows(6), window_seconds=1.0, crop_windows=2)
    trainer, batches = make_trainer(tmp_path, tracks=tracks, num_train_epochs=3, **options), []
    collate = trainer.data_collator
    step = trainer.training_step

    def recording(model: Any, inputs: Any, *args: Any) -> Any:
        batches.append(trainer.processing_class.tokenizer.batch_decode(inputs["input_ids"], skip_special_tokens=True))
        return step(model, inputs, *args)

    trainer.training_step = recording
    trainer.train()
    assert trainer.data_collator is collate
    seen = [sorted(batches[2 * epoch] + batches[2 * epoch + 1]) for epoch in range(3)]
    expected = []
    for epoch in range(3):
        tracks.set_epoch(epoch)
        expected.append(sorted(tracks[index]["caption"] for index in range(6)))
    assert seen == expected
    assert len({str(epoch) for epoch in expected}) == 3


def test_tracks_learn_their_epoch_from_the_trainer(tmp_path: Path) -> None:
    """On several processes accelerate tells the sampler alone, so the trainer itself must tell the tracks."""
    trainer = make_trainer(tmp_path)
    handler = trainer.callback_handler
    handler.train_dataloader = trainer.get_train_dataloader()
    for progress, epoch in ((0, 0), (1.0, 1), (1.5, 1), (2.0, 2)):  # one half: resumed within an epoch
        trainer.state.epoch = progress
        handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
        assert trainer.train_dataset.epoch == epoch


def launch(arguments: list[str], folder: Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    command = [sys.executable, "-m", *arguments]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stderr


@pytest.mark.slow
def test_accelerate_launch(dataset: Path, tmp_path: Path, start: Callable[..., dict[str, float]]) -> None:
    recipe = tiny.write_recipe(tmp_path / "recipe.yaml", tiny.recipe(dataset, tmp_path / "run"))
    accelerate = ["accelerate.commands.launch", "--cpu", "--num_processes", "1", "train.py", str(recipe)]
    launch([*accelerate, "training.max_steps=2"], tmp_path)
    launched = json.loads((tmp_path / "run" / "eval_results.json").read_text())
    here = start("here", max_steps=2)
    assert {name: launched[name] for name in here if name != "epoch"} == pytest.approx(
        {name: value for name, value in here.items() if name != "epoch"}, abs=1e-5
    )


@pytest.mark.slow
def test_two_processes_evaluate_as_one(dataset: Path, tmp_path: Path, start: Callable[..., dict[str, float]]) -> None:
    """Five tracks on two processes: the shards are padded, and the padding must not reach the metrics.

    Each process drops layers of its own, under gradient checkpointing, as with the released BEATs.
    """
    frozen = {"max_steps": 3, "learning_rate": 0.0, "eval_strategy": "no"}
    content = tiny.recipe(dataset, tmp_path / "run", **frozen, gradient_checkpointing=True)
    content["model"]["config"]["beats_config"]["layerdrop"] = 0.5
    recipe = tiny.write_recipe(tmp_path / "recipe.yaml", content)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "train.py", str(recipe)]
    launch(torchrun, tmp_path)
    two = json.loads((tmp_path / "run" / "eval_results.json").read_text())
    one = start("one", **frozen)
    assert {name: two[name] for name in one if name != "epoch"} == pytest.approx(
        {name: value for name, value in one.items() if name != "epoch"}, abs=1e-4
    )

"""The exported graphs give what the model gives."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny
import torch
from typer.testing import CliRunner

from evaluation_collap.scorers.collap import load_collap
from modeling_collap import CollapModel
from processing_collap import CollapProcessor
from release_collap import onnx_export
from release_collap.export_commands import export_app
from release_collap.onnx_check import OnnxMismatchError, check_agreement
from release_collap.onnx_config import CONFIG_FILE
from release_collap.onnx_export import OPSET, export_onnx
from release_collap.onnx_runner import AUDIO_GRAPH, TEXT_GRAPH, OnnxCollap

ROOT = Path(__file__).parents[2]
MINI = ROOT / "checkpoints" / "collap-mini"
# Of the tiny ones one layer each: what takes time is tracing.
TINY: dict[str, dict[str, Any]] = {
    "roberta, BEATs, passages": {
        "text_config": tiny.text_config("roberta", num_hidden_layers=1),
        "beats_config": tiny.beats_config(num_hidden_layers=1),
        "whisper_config": None,
        "gamma_structure": 1.0,
        "whole_text_weight": 0.5,
        "learn_attention_temperature": True,
        "windows_per_chunk": 2,
    },
    "gpt2, Whisper": {
        "text_config": tiny.text_config("gpt2", n_layer=1),
        "whisper_config": tiny.whisper_config(encoder_layers=1),
        "beats_config": None,
        "normalization": "paper",
    },
}
VARIANTS = [*TINY, "collap-mini"]  # GPT-2, both branches, passages
STRUCTURED, PLAIN = TINY


@dataclasses.dataclass
class Exported:
    """A model with its export."""

    folder: Path
    model: CollapModel
    processor: CollapProcessor
    runner: OnnxCollap


def build(name: str, seed: int = 0) -> tuple[CollapModel, CollapProcessor]:
    if name == "collap-mini":
        return load_collap(str(MINI))
    options = TINY[name]
    backbone = options["text_config"]["model_type"]
    branches = {f"return_{branch}": options[f"{branch}_config"] is not None for branch in ("whisper", "beats")}
    return tiny.model(backbone, seed=seed, **options), tiny.processor(backbone, **branches)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Exports by name, each made when first asked for."""
    folder = tmp_path_factory.mktemp("onnx")

    @cache
    def export(name: str) -> Exported:
        model, processor = build(name)
        export_onnx(model, processor, folder / name)
        return Exported(folder / name, model, processor, OnnxCollap(folder / name, threads=1))

    return export


# Lengths in windows.
TRACKS = [
    pytest.param((0.4,), id="shorter than a window"),
    pytest.param((1.0, 1.0), id="one window"),
    pytest.param((3.0,), id="several windows"),
    pytest.param((2.6, 0.3, 1.05), id="different lengths"),
]
TEXTS = ["\n".join(tiny.CAPTIONS)[: tiny.TEXT_LIMIT], "drums", "a slow piano ballad, then a loud chorus"]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("windows", TRACKS)
@torch.inference_mode()
def test_features_and_scores_are_those_of_torch(
    exports: Callable[[str], Exported], name: str, windows: tuple[float, ...]
) -> None:
    exported = exports(name)
    seconds = exported.processor.feature_extractor.window_seconds
    audio = [tiny.tone(length * seconds, 200.0 * (i + 1), seed=i) for i, length in enumerate(windows)]
    inputs = exported.processor(audio=audio, text=TEXTS[: len(audio)], sampling_rate=tiny.RATE)
    features, lengths = exported.model.get_audio_features(**inputs)
    texts = exported.model.encode_text(**inputs)
    ours, our_lengths = exported.runner.get_audio_features(**inputs)
    our_texts = exported.runner.encode_text(**inputs)

    assert our_lengths.tolist() == lengths.tolist()
    assert ours.shape == tuple(features.shape)
    for track, our_track, length in zip(features, ours, lengths, strict=True):
        np.testing.assert_allclose(our_track[:length], track[:length], atol=1e-4, rtol=0)
    assert our_texts.keys() == texts.present().keys()
    for field, rows in texts.present().items():
        np.testing.assert_allclose(our_texts[field], rows, atol=1e-4, rtol=1e-5)  # sharpness is large, and relative
    scores = exported.model.score(features, lengths, texts).present()
    our_scores = exported.runner.score(ours, our_lengths, our_texts)
    assert our_scores.keys() == scores.keys()
    for field, rows in scores.items():
        np.testing.assert_allclose(our_scores[field], rows, atol=1e-4, rtol=0)
    logits = exported.model(**inputs).logits_per_audio
    np.testing.assert_allclose(our_scores["fused"] * exported.runner.config.logit_factor, logits, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", TINY)
@torch.inference_mode()
def test_audio_graph_reads_whole_tracks(exports: Callable[[str], Exported], name: str) -> None:
    exported = exports(name)
    audio = [tiny.tone(seconds, seed=i) for i, seconds in enumerate((3.3, 0.5))]
    inputs = exported.processor(audio=audio, sampling_rate=tiny.RATE, return_tensors="np")
    session = onnxruntime.InferenceSession(exported.folder / AUDIO_GRAPH)
    ours, our_lengths = session.run(["audio_features", "lengths"], dict(inputs))
    features, lengths = exported.model.get_audio_features(**inputs.convert_to_tensors("pt"))
    assert our_lengths.tolist() == lengths.tolist()
    for track, our_track, length in zip(features, ours, lengths, strict=True):
        np.testing.assert_allclose(our_track[:length], track[:length], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_padding_on_the_left_and_texts_without_passages(exports: Callable[[str], Exported]) -> None:
    exported = exports(STRUCTURED)
    inputs = exported.processor(text=TEXTS, padding_side="left", return_tensors="np")
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    expected = exported.model.encode_text(**{name: torch.from_numpy(rows) for name, rows in inputs.items()})
    for field, rows in exported.runner.encode_text(**inputs).items():
        np.testing.assert_allclose(rows, expected.present()[field], atol=1e-4, rtol=0)


@pytest.mark.parametrize("file", [AUDIO_GRAPH, TEXT_GRAPH])
def test_graphs_are_valid_and_name_no_local_path(exports: Callable[[str], Exported], file: str) -> None:
    path = exports(STRUCTURED).folder / file
    onnx.checker.check_model(path, full_check=True)
    assert [(entry.domain, entry.version) for entry in onnx.load(path).opset_import] == [("", OPSET)]
    content = path.read_bytes()
    assert str(ROOT).encode() not in content
    assert b".py" not in content


def test_folder_holds_what_a_caller_needs(exports: Callable[[str], Exported]) -> None:
    names = {file.name for file in exports(STRUCTURED).folder.iterdir()}
    assert names >= {AUDIO_GRAPH, TEXT_GRAPH, CONFIG_FILE, "processor_config.json", "tokenizer_config.json"}
    config, settings = exports(STRUCTURED).runner.config, exports(STRUCTURED).model.config
    assert (config.kernel_size, config.stride) == (settings.kernel_size, settings.stride)
    assert config.structure_temperature == pytest.approx(settings.structure_temperature)
    assert config.max_tokens == tiny.TEXT_LIMIT
    assert exports(PLAIN).runner.config.structure_temperature is None


def test_documented_code(exports: Callable[[str], Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of docs/onnx.md that wants an export; the docs' own test has none."""
    (block,) = re.findall(r"```python no-run\n(.*?)```", (ROOT / "docs" / "onnx.md").read_text(), flags=re.DOTALL)
    (tmp_path / "collap-mini-onnx").symlink_to(exports("collap-mini").folder)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    assert namespace["logits"].shape == (1, 2)
    assert namespace["scores"].keys() == {"kernel", "temporal", "structure", "fused"}


def save_with_graphs(
    exported: Exported, seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str, str]:
    """A saved model and the arguments that export it; the graphs that are made for it are those of `exported`."""

    def write_graphs(model: CollapModel, sample: object, output: Path) -> None:
        for file in (AUDIO_GRAPH, TEXT_GRAPH):
            shutil.copy(exported.folder / file, output / file)

    monkeypatch.setattr(onnx_export, "write_graphs", write_graphs)
    for part in build(STRUCTURED, seed=seed):
        part.save_pretrained(folder / "model")
    return "onnx", str(folder / "model"), str(folder / "out")


def test_command(exports: Callable[[str], Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = save_with_graphs(exports(STRUCTURED), 0, tmp_path, monkeypatch)
    result = CliRunner().invoke(export_app, arguments)
    assert result.exit_code == 0, result.output
    assert "Largest differences from torch:" in result.output
    assert OnnxCollap(tmp_path / "out").config == exports(STRUCTURED).runner.config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


class TestRefusals:
    def test_graphs_that_disagree_leave_nothing(
        self, exports: Callable[[str], Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The graphs of one model stand for those of another."""
        arguments = save_with_graphs(exports(STRUCTURED), 1, tmp_path, monkeypatch)
        result = CliRunner().invoke(export_app, arguments)
        assert result.exit_code == 2
        assert "the ONNX graphs do not give what torch gives: their audio features are" in result.output
        assert [path.name for path in tmp_path.iterdir()] == ["model"]

    def test_tolerance_that_nothing_meets(
        self, exports: Callable[[str], Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arguments = save_with_graphs(exports(STRUCTURED), 0, tmp_path, monkeypatch)
        result = CliRunner().invoke(export_app, [*arguments, "--tolerance", "1e-12"])
        assert result.exit_code == 2
        assert [path.name for path in tmp_path.iterdir()] == ["model"]

    @pytest.mark.parametrize(
        ("parameter", "what"),
        [
            ("audio_encoder.adapter.bias", "audio features"),
            ("text_projection.bias", "text features"),
            ("structure_log_temperature", "scores"),
        ],
    )
    def test_a_small_difference_is_found(self, exports: Callable[[str], Exported], parameter: str, what: str) -> None:
        exported = exports(STRUCTURED)
        model, processor = build(STRUCTURED)
        assert max(dataclasses.astuple(check_agreement(exported.folder, model, processor))) < 1e-4
        with torch.no_grad():
            model.get_parameter(parameter)[0] += 0.1 if what == "scores" else 1e-3
        with pytest.raises(OnnxMismatchError, match=f"their {what} are .* at most 1.0e-04 is allowed"):
            check_agreement(exported.folder, model, processor)

    def test_other_lengths_are_found(self, exports: Callable[[str], Exported], monkeypatch: pytest.MonkeyPatch) -> None:
        encode = OnnxCollap.get_audio_features

        def one_step_short(runner: OnnxCollap, **inputs: Any) -> tuple[np.ndarray, np.ndarray]:
            features, lengths = encode(runner, **inputs)
            return features, lengths - 1

        monkeypatch.setattr(OnnxCollap, "get_audio_features", one_step_short)
        with pytest.raises(OnnxMismatchError, match="audio features are inf apart"):
            check_agreement(exports(STRUCTURED).folder, *build(STRUCTURED))

    def test_difference_that_is_no_number(self, exports: Callable[[str], Exported]) -> None:
        model, processor = build(STRUCTURED)
        with torch.no_grad():
            model.text_projection.bias[0] = float("nan")
        with pytest.raises(OnnxMismatchError, match="text features are nan apart"):
            check_agreement(exports(STRUCTURED).folder, model, processor)

    def test_output_that_exists(self, exports: Callable[[str], Exported]) -> None:
        folder = exports(STRUCTURED).folder
        before = sorted(folder.iterdir())
        with pytest.raises(ValueError, match=r"exists already; an export does not replace it$"):
            export_onnx(*build(STRUCTURED), folder)
        assert sorted(folder.iterdir()) == before

    def test_folder_without_a_model(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(export_app, ["onnx", str(tmp_path), str(tmp_path / "out")])
        assert result.exit_code == 2
        assert "there is no model in" in result.output
        assert not (tmp_path / "out").exists()

    def test_package_that_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnxscript" else object())
        result = CliRunner().invoke(export_app, ["onnx", str(tmp_path), str(tmp_path / "out")])
        assert result.exit_code == 2
        message = "ONNX export needs onnxscript, of the extra collap[onnx], which is not installed"
        assert message in " ".join(result.output.split())

    def test_model_in_another_precision_or_being_trained(self, tmp_path: Path) -> None:
        model, processor = build(STRUCTURED)
        with pytest.raises(ValueError, match=r"in float32 on the CPU .* torch\.bfloat16 on cpu in evaluation mode"):
            export_onnx(model.bfloat16(), processor, tmp_path / "out")
        with pytest.raises(ValueError, match=r"torch\.float32 on cpu in training mode"):
            export_onnx(model.float().train(), processor, tmp_path / "out")

    def test_folder_that_is_no_export(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=f"is no ONNX export of a CoLLAP: it holds no {CONFIG_FILE}"):
            OnnxCollap(tmp_path)

    def test_damaged_export(self, exports: Callable[[str], Exported], tmp_path: Path) -> None:
        folder = shutil.copytree(exports(STRUCTURED).folder, tmp_path / "damaged")
        (folder / AUDIO_GRAPH).write_bytes(b"no graph")
        with pytest.raises(ValueError, match=f"the graph .*{AUDIO_GRAPH} cannot be read"):
            OnnxCollap(folder)
        (folder / CONFIG_FILE).write_text('{"kernel_size": 1}')
        with pytest.raises(ValueError, match=f"{CONFIG_FILE} cannot be read"):
            OnnxCollap(folder)

    def test_inputs(self, exports: Callable[[str], Exported]) -> None:
        runner = exports(STRUCTURED).runner
        inputs = exports(STRUCTURED).processor(audio=[tiny.tone(2.5)], text=["drums"], sampling_rate=tiny.RATE)
        with pytest.raises(ValueError, match="the audio graph needs fbank_lengths, which"):
            runner.get_audio_features(fbank=inputs["fbank"])
        silent = {name: rows * 0 if name.endswith("_lengths") else rows for name, rows in inputs.items()}
        with pytest.raises(ValueError, match="track 0 of the batch has no valid window"):
            runner.get_audio_features(**silent)
        backwards = {name: rows.flip(1) if name.endswith("_lengths") else rows for name, rows in inputs.items()}
        with pytest.raises(ValueError, match="only the last window of a track may be shorter"):
            runner.get_audio_features(**backwards)
        with pytest.raises(ValueError, match="the text graph needs input_ids"):
            runner.encode_text()
        ids = np.ones((1, tiny.TEXT_LIMIT + 1), dtype=np.int64)
        with pytest.raises(ValueError, match=f"{ids.size} tokens, but the text graph reads at most {tiny.TEXT_LIMIT}"):
            runner.encode_text(input_ids=ids)
        with pytest.raises(ValueError, match="text 1 of the batch has no token"):
            runner.encode_text(input_ids=ids[:, :3].repeat(2, 0), attention_mask=np.array([[1, 1, 1], [0, 0, 0]]))
        texts = runner.encode_text(**inputs)
        with pytest.raises(ValueError, match="give score what encode_text returns"):
            runner.score(*runner.get_audio_features(**inputs), {"text_embeds": texts["text_embeds"]})

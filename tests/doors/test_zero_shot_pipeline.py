"""`transformers.pipeline`: the model's own scores, whatever the audio, and for a stranger too."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hub.strangers import NO_CHECKOUT
from torchcodec.encoders import AudioEncoder

from modeling_collap import CollapModel, CollapZeroShotAudioClassificationPipeline
from processing_collap import CollapProcessor

MINI = Path(__file__).parents[2] / "checkpoints" / "collap-mini"
LABELS = ["slow piano. Then drums and guitar enter. It ends quietly", "fast dance music", "a sad string quartet"]

# What a user writes, in a process that has no copy of this repository.
STRANGER = """
import json
from transformers import pipeline

saved, mini, again, audio, labels = json.loads(sys.argv[1])
answers = []
for folder in (saved, mini):
    classify = pipeline("zero-shot-audio-classification", model=folder, trust_remote_code=True)
    answers.append(classify(audio, candidate_labels=labels, hypothesis_template="Music: {}"))
classify.save_pretrained(again)
answers.append(pipeline(model=again, trust_remote_code=True)(audio, candidate_labels=labels))
print(json.dumps({"answers": answers, "module": type(classify).__module__}))
"""


@pytest.fixture
def pipe() -> CollapZeroShotAudioClassificationPipeline:
    return CollapZeroShotAudioClassificationPipeline(
        model=tiny.model(gamma_structure=1.0), processor=tiny.processor(), device="cpu"
    )


def by_label(answer: list[dict[str, Any]]) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in answer}


@torch.no_grad()
def expected(model: CollapModel, processor: CollapProcessor, audio: Any, template: str) -> dict[str, float]:
    """The softmax of the model's own logits, best first."""
    inputs = processor(audio=[audio], text=[template.format(label) for label in LABELS], sampling_rate=tiny.RATE)
    scores = model(**inputs).logits_per_audio[0].softmax(0).tolist()
    return dict(sorted(zip(LABELS, scores, strict=True), key=lambda item: -item[1]))


@pytest.mark.slow
def test_a_stranger_gets_the_models_scores(tmp_path: Path) -> None:
    """Of one long stereo file at 44.1 kHz and one mono MP3, from a saved folder, collap-mini, and what it saves."""
    tiny.model(gamma_structure=1.0).save_pretrained(tmp_path / "tiny")
    tiny.processor().save_pretrained(tmp_path / "tiny")
    stereo = torch.from_numpy(np.stack([tiny.tone(40, 200.0), tiny.tone(40, 311.0, seed=1)]))
    AudioEncoder(stereo, sample_rate=44100).to_file(str(tmp_path / "stereo.flac"))
    AudioEncoder(torch.from_numpy(tiny.tone(5, 440.0))[None], sample_rate=tiny.RATE).to_file(str(tmp_path / "mono.mp3"))
    audio = [str(tmp_path / "stereo.flac"), str(tmp_path / "mono.mp3")]

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment.update(HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            NO_CHECKOUT + STRANGER,
            json.dumps([*map(str, (tmp_path / "tiny", MINI, tmp_path / "x")), audio, LABELS]),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout.splitlines()[-1])
    assert report["module"].startswith("transformers_modules.")
    mini = CollapModel.from_pretrained(MINI), CollapProcessor.from_pretrained(MINI)
    sources = [((tiny.model(gamma_structure=1.0), tiny.processor()), "Music: {}"), (mini, "Music: {}")]
    sources.append((mini, "This is a sound of {}."))
    for answers, ((model, processor), template) in zip(report["answers"], sources, strict=True):
        for answer, file in zip(answers, audio, strict=True):
            want = expected(model, processor, file, template)
            assert list(by_label(answer)) == list(want)
            assert by_label(answer) == pytest.approx(want, abs=1e-5)


def test_scores_are_the_models_passages_included(pipe: CollapZeroShotAudioClassificationPipeline) -> None:
    audio = np.concatenate([tiny.tone(2.0, 200.0), tiny.tone(2.3, 1500.0, seed=1)])
    answer = pipe(audio, candidate_labels=LABELS, hypothesis_template="{}", sampling_rate=tiny.RATE)
    want = expected(pipe.model, pipe.processor, audio, "{}")
    assert by_label(answer) == pytest.approx(want, abs=1e-6)
    assert [entry["score"] for entry in answer] == sorted(by_label(answer).values(), reverse=True)
    whole = pipe.processor(audio=[audio], text=LABELS, sampling_rate=tiny.RATE)
    del whole["passage_ids"], whole["passage_places"], whole["passage_seconds"]
    with torch.no_grad():
        unread = pipe.model(**whole).logits_per_audio[0].softmax(0)
    assert (unread - torch.tensor([want[label] for label in LABELS])).abs().max() > 1e-2


def test_tracks_of_a_list_are_scored_as_alone(pipe: CollapZeroShotAudioClassificationPipeline) -> None:
    tracks = [tiny.tone(seconds, 200.0 * seconds, seed=i) for i, seconds in enumerate((3.7, 0.5, 1.9))]
    options: dict[str, Any] = {"candidate_labels": LABELS, "sampling_rate": tiny.RATE}
    assert pipe(tracks, batch_size=3, **options) == [pipe(track, **options) for track in tracks]


def test_any_source_gives_the_same_answer(pipe: CollapZeroShotAudioClassificationPipeline, tmp_path: Path) -> None:
    stereo = np.stack([tiny.tone(2.0), tiny.tone(2.0, 300.0)])
    AudioEncoder(torch.from_numpy(stereo), sample_rate=tiny.RATE).to_file(str(tmp_path / "song.wav"))
    sources = [
        tmp_path / "song.wav",
        (tmp_path / "song.wav").read_bytes(),
        {"array": stereo, "sampling_rate": tiny.RATE},
        torch.from_numpy(stereo),
        stereo.mean(0),
    ]
    answers = [by_label(pipe(source, candidate_labels=LABELS, sampling_rate=tiny.RATE)) for source in sources]
    for answer in answers[1:]:  # a file has 16 bits
        assert answer == pytest.approx(answers[0], abs=1e-3)


def test_options_may_be_given_once_and_for_all() -> None:
    pipe = CollapZeroShotAudioClassificationPipeline(
        model=tiny.model(),
        processor=tiny.processor(),
        device="cpu",
        candidate_labels=LABELS,
        hypothesis_template="a {}",
    )
    answer = pipe(tiny.tone(1.0), sampling_rate=tiny.RATE)
    assert by_label(answer) == pytest.approx(expected(pipe.model, pipe.processor, tiny.tone(1.0), "a {}"), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "candidate_labels are missing"),
        ({"candidate_labels": "jazz"}, "must be a list of texts"),
        ({"candidate_labels": []}, "candidate_labels are empty"),
        ({"candidate_labels": ["jazz", " "]}, "must be a text, not ' '"),
        ({"candidate_labels": LABELS, "hypothesis_template": "some music"}, "hypothesis_template must have {}"),
        ({"candidate_labels": LABELS, "sampling_rate": None}, "sampling rate is missing"),
    ],
)
def test_says_what_is_wrong(
    pipe: CollapZeroShotAudioClassificationPipeline, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pipe(tiny.tone(1.0), **{"sampling_rate": tiny.RATE, **options})


def test_the_pipeline_is_no_part_of_the_saved_configuration() -> None:
    """transformers puts classes into the dict, after which no `config.json` could be written."""
    config = tiny.model().config
    (task,) = config.custom_pipelines.values()
    task["pt"] = (CollapModel,)
    assert config.custom_pipelines["zero-shot-audio-classification"]["pt"] == ("AutoModel",)
    assert "custom_pipelines" not in json.loads(config.to_json_string())

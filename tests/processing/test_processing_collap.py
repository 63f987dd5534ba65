"""The processor: texts with a stated limit, tracks, and a folder that a stranger can load."""

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from processing_collap import CollapFeatureExtractor, CollapProcessor

TEXTS = ["a slow piano opens the song", "the choir fades out"]


@pytest.fixture
def processor(tokenizer):
    return CollapProcessor(CollapFeatureExtractor(), tokenizer)


def test_text_alone_gives_the_tokens_and_their_passages(processor):
    inputs = processor(text=TEXTS)
    assert set(inputs) == {"input_ids", "attention_mask", "passage_ids", "passage_places", "passage_seconds"}
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape
    assert processor.batch_decode(inputs["input_ids"], skip_special_tokens=True) == TEXTS
    assert processor.decode(inputs["input_ids"][0], skip_special_tokens=True) == TEXTS[0]


def test_text_and_audio_may_differ_in_number(processor, sound):
    inputs = processor(text=TEXTS, audio=[sound(1), sound(2), sound(3)], sampling_rate=16000, return_tensors="pt")
    assert set(inputs) == {
        *("input_ids", "attention_mask", "passage_ids", "passage_places", "passage_seconds"),
        *("input_features", "input_features_lengths", "fbank", "fbank_lengths"),
    }
    assert len(inputs["input_ids"]) == 2
    assert len(inputs["fbank"]) == 3


def test_one_text_is_a_batch_of_one(processor):
    assert processor(text=TEXTS[0])["input_ids"].shape[0] == 1


def test_audio_alone_equals_the_feature_extractor(processor, sound):
    inputs = processor(audio=sound(2, 44100), sampling_rate=44100)
    expected = processor.feature_extractor(sound(2, 44100), sampling_rate=44100)
    assert set(inputs) == set(expected)
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)


def test_missing_pad_token_becomes_the_end_of_text(gpt2_tokenizer):
    assert gpt2_tokenizer.pad_token is None
    processor = CollapProcessor(CollapFeatureExtractor(), gpt2_tokenizer)
    inputs = processor(text=TEXTS)
    shorter = int(inputs["attention_mask"].sum(1).argmin())
    padding = inputs["input_ids"][shorter][inputs["attention_mask"][shorter] == 0]
    assert len(padding) > 0
    assert (padding == gpt2_tokenizer.eos_token_id).all()


def test_own_pad_token_stays(roberta_tokenizer):
    CollapProcessor(CollapFeatureExtractor(), roberta_tokenizer)
    assert roberta_tokenizer.pad_token == "<pad>"


def test_tokenizer_that_cannot_pad_is_refused(gpt2_tokenizer):
    bare = PreTrainedTokenizerFast(tokenizer_object=gpt2_tokenizer.backend_tokenizer)
    with pytest.raises(ValueError, match="neither a padding nor an end-of-text token"):
        CollapProcessor(CollapFeatureExtractor(), bare)


@pytest.mark.parametrize("as_text_kwargs", [True, False])
def test_padding_on_either_side(processor, as_text_kwargs):
    left, right = (
        processor(text=TEXTS, **({"text_kwargs": {"padding_side": side}} if as_text_kwargs else {"padding_side": side}))
        for side in ("left", "right")
    )
    assert left["attention_mask"].equal(right["attention_mask"].flip(1))
    for i in range(len(TEXTS)):
        left_ids = left["input_ids"][i][left["attention_mask"][i] == 1]
        assert left_ids.equal(right["input_ids"][i][right["attention_mask"][i] == 1])


def test_text_beyond_the_tokenizers_limit_warns_and_is_cut(processor):
    limit = processor.tokenizer.model_max_length
    long_text = "piano " * 2000
    count = len(processor.tokenizer(long_text, verbose=False)["input_ids"])
    with pytest.warns(UserWarning, match=rf"limit is {limit} tokens.*text 2 of 2 \({count} tokens\)") as caught:
        inputs = processor(text=[TEXTS[0], long_text])
    assert len(caught) == 1
    assert "text 1 of 2" not in str(caught[0].message)
    assert inputs["input_ids"].shape == (2, limit)


def test_limits_of_the_two_text_encoders(gpt2_tokenizer, roberta_tokenizer):
    for tokenizer, limit in ((gpt2_tokenizer, 1024), (roberta_tokenizer, 512)):
        processor = CollapProcessor(CollapFeatureExtractor(), tokenizer)
        with pytest.warns(UserWarning, match=f"limit is {limit} tokens"):
            assert processor(text="piano " * 2000)["input_ids"].shape == (1, limit)


def test_text_within_the_limit_is_whole_and_silent(processor):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids = processor(text=TEXTS[0])["input_ids"]
    exact = ids.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert processor(text=TEXTS[0], max_length=exact)["input_ids"].equal(ids)


@pytest.mark.parametrize("options", [{"max_length": 5}, {"text_kwargs": {"max_length": 5}}])
def test_max_length_lowers_the_limit(processor, options):
    with pytest.warns(UserWarning, match="limit is 5 tokens"):
        assert processor(text=TEXTS, **options)["input_ids"].shape == (2, 5)


def test_max_length_never_raises_the_tokenizers_limit(processor):
    limit = processor.tokenizer.model_max_length
    with pytest.warns(UserWarning, match=f"limit is {limit} tokens"):
        assert processor(text="piano " * 2000, max_length=5000)["input_ids"].shape[1] == limit


def test_padding_to_max_length(processor):
    assert processor(text=TEXTS, padding="max_length", max_length=40)["input_ids"].shape == (2, 40)


def test_without_truncation_a_long_text_is_an_error(processor):
    with pytest.raises(ValueError, match=r"limit is 5 tokens; longer: text 1 of 1 \(\d+ tokens\)"):
        processor(text=TEXTS[0], max_length=5, truncation=False)


def test_tokenizer_without_a_limit_cuts_nothing(gpt2_tokenizer):
    endless = PreTrainedTokenizerFast(tokenizer_object=gpt2_tokenizer.backend_tokenizer, eos_token="<|endoftext|>")
    processor = CollapProcessor(CollapFeatureExtractor(), endless)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert processor(text="piano " * 2000)["input_ids"].shape[1] > 2000


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "give text, audio, or both"),
        ({"text": ""}, "text 1 of 1 is empty"),
        ({"text": ["a song", " \n\t"]}, "text 2 of 2 is empty"),
        ({"text": []}, "text is an empty list"),
        ({"text": ["a song", None]}, "text 2 of 2 is a NoneType"),
        ({"audio": np.ones(16000, dtype=np.float32)}, "audio 1 of 1: the sampling rate is missing"),
    ],
)
def test_unusable_inputs_are_clear_errors(processor, inputs, message):
    with pytest.raises(ValueError, match=message):
        processor(**inputs)


def test_numpy_output(processor, sound):
    inputs = processor(text=TEXTS, audio=sound(1), sampling_rate=16000, return_tensors="np")
    assert all(isinstance(value, np.ndarray) for value in inputs.values())


def test_save_and_load_round_trip(processor, sound, tmp_path):
    processor.feature_extractor = CollapFeatureExtractor(
        hop_length=640, n_fft=1024, fbank_frame_length_ms=64.0, fbank_frame_shift_ms=40.0, return_whisper=False
    )
    processor.save_pretrained(tmp_path)
    loaded = CollapProcessor.from_pretrained(tmp_path)
    assert loaded.feature_extractor.to_dict() == processor.feature_extractor.to_dict()
    assert loaded.tokenizer.pad_token == processor.tokenizer.pad_token
    assert loaded.tokenizer.model_max_length == processor.tokenizer.model_max_length
    inputs = {"text": TEXTS, "audio": sound(2), "sampling_rate": 16000}
    before, after = processor(**inputs), loaded(**inputs)
    assert set(before) == set(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_loading_ignores_the_models_own_remote_code(processor, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt="": pytest.fail(f"asked: {prompt}"))
    processor.save_pretrained(tmp_path)
    config = {
        "model_type": "collap",
        "auto_map": {"AutoConfig": "absent.CollapConfig", "AutoModel": "absent.CollapModel"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "absent.py").write_text("raise ImportError")
    loaded = CollapProcessor.from_pretrained(tmp_path)
    assert loaded(text=TEXTS)["input_ids"].equal(processor(text=TEXTS)["input_ids"])


STRANGER = """
import sys
import torch
from transformers import AutoFeatureExtractor, AutoProcessor, AutoTokenizer
for folder in sys.argv[1:]:
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    assert not any(name.split(".")[0] == "processing_collap" for name in sys.modules), "the repository was imported"
    saved = torch.load(folder + "/inputs.pt", weights_only=True)
    def check(processor):
        now = processor(text=saved["text"], audio=saved["audio"], sampling_rate=22050)
        assert set(now) == set(saved["expected"])
        for name, value in saved["expected"].items():
            assert torch.equal(now[name], value), name
    check(processor)
    assert AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True).window_seconds == 10.0
    assert AutoTokenizer.from_pretrained(folder).pad_token == processor.tokenizer.pad_token
    processor.save_pretrained(folder + "/again")
    check(AutoProcessor.from_pretrained(folder + "/again", trust_remote_code=True))
    print("loaded", type(processor).__name__, type(processor.tokenizer).__name__)
"""


@pytest.mark.slow
def test_a_stranger_loads_the_saved_folder(gpt2_tokenizer, roberta_tokenizer, sound, tmp_path):
    track = torch.from_numpy(sound(11, 22050))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folders = []
    for tokenizer in (gpt2_tokenizer, roberta_tokenizer):
        processor = CollapProcessor(CollapFeatureExtractor(window_seconds=10.0), tokenizer)
        folder = tmp_path / type(tokenizer).__name__
        processor.save_pretrained(folder)
        assert {path.name for path in folder.glob("*.py")} == {
            "audio_loading.py",
            "feature_extraction_collap.py",
            "passages.py",
            "processing_collap.py",
        }
        expected = dict(processor(text=TEXTS, audio=track, sampling_rate=22050))
        torch.save({"text": TEXTS, "audio": track, "expected": expected}, folder / "inputs.pt")
        folders.append(str(folder))

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf_home"),
        "HF_MODULES_CACHE": str(tmp_path / "hf_modules"),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    # -P and a folder of its own: neither the working directory nor the repository is importable by accident.
    done = subprocess.run(
        [sys.executable, "-P", "-c", STRANGER, *folders],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("loaded CollapProcessor") == 2, done.stdout

"""Stage `caption`: audio language models of the real classes, a server on this machine, and captions in files."""

import json
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from loopback import ChatServer, chat_server, heard
from tiny_captioners import SAVERS, save_captioner
from torchcodec.decoders import AudioDecoder

from dataset_scripts.audioset.caption import Caption
from dataset_scripts.audioset.captioners import CAPTIONERS, ImportedCaptions, ServerCaptioner, TransformersCaptioner
from dataset_scripts.audioset.captioners.base import read_mono
from dataset_scripts.audioset.captioners.prompt import PROMPT_VERSION, caption_prompt
from dataset_scripts.audioset.stage import ItemError, Outcome

SECONDS = {"short": 4, "long": 65}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A work folder with two songs and a broken file."""
    work = tmp_path_factory.mktemp("work")
    (work / "audio").mkdir()
    for number, (name, seconds) in enumerate(SECONDS.items(), 3):
        tone = f"aevalsrc=0.2*sin({number * 700}*t)|0.1*sin({number * 500}*t):s=22050:d={seconds}"
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", tone, str(work / "audio" / f"{name}.mp3")]
        subprocess.run(command, check=True)
    (work / "audio" / "broken.mp3").write_bytes(b"no music" * 100)
    return work


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Callable[..., Path]:
    """Saved captioners by kind and room, made when they are asked for."""
    folder = tmp_path_factory.mktemp("models")

    def saved(kind: str, room: int = 4096) -> Path:
        model = folder / f"{kind}-{room}"
        return model if model.exists() else save_captioner(kind, model, room=room)

    return saved


def rows(*names: str) -> list[dict]:
    return [{"id": name, "path": f"audio/{name}.mp3", "audioset_labels": ["Music"]} for name in names]


def caption(work: Path, captioner, *names: str) -> Outcome:
    stage = Caption(work, captioner)
    stage.check()
    stage = pickle.loads(pickle.dumps(stage))  # as it travels
    stage.start()
    return stage(rows(*names))


def local(model: Path, **options) -> TransformersCaptioner:
    return TransformersCaptioner(**{"model": str(model), "max_new_tokens": 12, "device": "cpu"} | options)


# --- prompt -----------------------------------------------------------------------------------------------------------


def test_the_prompt_tells_the_length_and_asks_for_sections():
    prompt = caption_prompt(243.4)
    assert "4:03 (243 seconds)" in prompt
    assert "from 0:00 to 4:03" in prompt
    for word in ("paragraph", "sections", "start", "end", "function", "chord progression"):
        assert word in prompt
    assert "pieces" not in prompt
    assert "9 consecutive pieces" in caption_prompt(243.4, 9)


# --- transformers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SAVERS)
def test_models_of_the_real_classes_describe_audio(kind, models, work):
    folder = models(kind)
    outcome = caption(work, local(folder), "short", "broken", "long")
    assert [row["id"] for row in outcome.kept] == ["short", "long"]
    assert [(item.id, item.stage, item.reason) for item in outcome.dropped] == [
        ("broken", "caption", "broken: the audio does not decode")
    ]
    for row in outcome.kept:
        assert row["description"].strip()
        assert row["caption_source"] == f"transformers, prompt {PROMPT_VERSION}"
        assert row["caption_model"] == folder.name
        assert row["audioset_labels"] == ["Music"]
    # The same in a batch, where the short one is padded, and the same again.
    assert caption(work, local(folder, batch_size=3), "short", "broken", "long") == outcome


@pytest.mark.parametrize("kind", SAVERS)
def test_models_run_in_bfloat16(kind, models, work):
    captioner = local(models(kind), dtype="bfloat16")
    captioner.start()
    assert captioner._model.dtype == torch.bfloat16
    assert Caption(work, captioner)(rows("short")).kept[0]["description"]


@pytest.mark.parametrize("kind", SAVERS)
def test_the_whole_recording_reaches_the_model(kind, models, work, monkeypatch):
    captioner = local(models(kind))
    captioner.start()
    seen = {}
    generate = captioner._model.generate
    monkeypatch.setattr(captioner._model, "generate", lambda **inputs: seen.update(inputs) or generate(**inputs))
    Caption(work, captioner)(rows("long"))
    mask = seen.get("feature_attention_mask", seen.get("input_features_mask"))
    frames = mask.sum().item()
    assert frames == pytest.approx(SECONDS["long"] * 100, rel=0.01)  # of 10 ms
    sounds = (seen["input_ids"] == captioner._processor_.audio_token_id).sum().item()
    assert sounds == pytest.approx(SECONDS["long"] * 25, rel=0.01)  # tokens of 40 ms
    told = captioner._processor_.tokenizer.decode(seen["input_ids"][0])
    assert "1:05 (65 seconds)" in told
    assert ("3 consecutive pieces" in told) == (kind == "qwen2-audio")


def test_other_audio_changes_the_description(models, work):
    texts = {row["description"] for row in caption(work, local(models("qwen2-audio")), "short", "long").kept}
    assert len(texts) == 2


def test_what_a_model_has_no_room_for_is_a_ledger_entry(models, work):
    (item,) = caption(work, local(models("qwen2-audio", room=1600), name="tiny"), "short", "long").dropped
    assert item.id == "long"
    assert item.reason.endswith("tokens with the answer, and tiny has room for 1600")
    flamingo = local(models("audio-flamingo"), name="tiny")
    flamingo.start()
    flamingo._processor_.max_audio_len = 60
    (item,) = Caption(work, flamingo)(rows("long")).dropped
    assert item.reason == "too long: 65 s, and tiny hears 60 s"


def test_a_description_that_is_cut_off_is_kept_only_on_request(models, work):
    for keep in (False, True):
        captioner = local(models("qwen2-audio"), keep_unfinished=keep)
        captioner.start()
        captioner._model.generation_config.forced_eos_token_id = None
        captioner._model.generation_config.suppress_tokens += [captioner._model.generation_config.eos_token_id]
        outcome = Caption(work, captioner)(rows("short"))
        if keep:
            assert outcome.kept[0]["description"]
        else:
            assert outcome.dropped[0].reason == "unfinished: cut off after 12 tokens"


def test_a_lack_of_memory_stops_the_run_with_advice(models, work, monkeypatch):
    captioner = local(models("qwen2-audio"), batch_size=2)
    captioner.start()

    def fail(**_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(captioner._model, "generate", fail)
    with pytest.raises(ItemError, match=r"item short: .* with 2 tracks at a time; a smaller caption.batch_size"):
        Caption(work, captioner)(rows("short", "long"))


def test_models_are_checked_before_work(models, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder /nowhere"):
        local(Path("/nowhere")).check()
    with pytest.raises(FileNotFoundError, match="holds no weights"):
        local(tmp_path).check()
    for problem, message in {"dtype": "caption.dtype must be", "device": "torch knows no device"}.items():
        with pytest.raises(ValueError, match=message):
            local(models("qwen2-audio"), **{problem: "nonsense"}).check()
    with pytest.raises(ValueError, match=r"caption.batch_size must be at least 1"):
        local(models("qwen2-audio"), batch_size=0).check()
    from transformers import BertConfig, BertModel

    text = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4, "vocab_size": 9}
    BertModel(BertConfig(**text)).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="is a bert, which transformers"):
        local(tmp_path / "bert").check()
    deaf = save_captioner("qwen2-audio", tmp_path / "deaf")
    (deaf / "chat_template.jinja").write_text("{% for message in messages %}{{ message['role'] }}{% endfor %}")
    with pytest.raises(ValueError, match=r"the chat template of .* leaves audio out"):
        local(deaf).check()
    (deaf / "config.json").write_text("{")
    with pytest.raises((ValueError, OSError), match="deaf has no readable config"):
        local(deaf).check()


def test_settings_know_a_model_by_its_content(models, tmp_path):
    folder = models("qwen2-audio")
    one, other = local(folder), local(save_captioner("qwen2-audio", tmp_path / folder.name))
    assert one.settings() == other.settings()
    assert json.loads(json.dumps(one.settings())) == one.settings()
    assert one.settings() != local(folder, max_new_tokens=13).settings()
    assert one.settings()["model"] != local(models("music-flamingo")).settings()["model"]


# --- a server ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    with chat_server(lambda audio, prompt: f"  {len(audio)} bytes, {prompt[:35]}\n") as server:
        yield server


def remote(server: ChatServer, **options) -> ServerCaptioner:
    return ServerCaptioner(**{"base_url": server.url, "model": server.model, "retries": 2, "timeout": 30.0} | options)


@pytest.mark.parametrize("part", ["input_audio", "audio_url"])
@pytest.mark.parametrize("audio_format", ["wav", "mp3", "flac"])
def test_a_server_hears_the_recording_and_the_prompt(server, work, part, audio_format):
    outcome = caption(work, remote(server, part=part, audio_format=audio_format), "short", "broken")
    (row,) = outcome.kept
    assert row["description"].endswith("You hear a complete recording of 0:")  # stripped
    assert row["caption_source"] == f"openai, prompt {PROMPT_VERSION}"
    assert row["caption_model"] == "music-lm"
    assert [item.reason for item in outcome.dropped] == ["broken: the audio does not decode"]
    request = server.requests[-1]  # the first is the check's
    assert request["model"] == "music-lm"
    assert request["temperature"] == 0
    assert request["seed"] == 0
    assert request["max_completion_tokens"] == 768
    audio, prompt = heard(request)
    assert prompt == caption_prompt(len(read_mono(work / "audio/short.mp3", 16000)) / 16000)
    sent = AudioDecoder(audio)
    assert sent.metadata.sample_rate == 16000
    assert sent.metadata.num_channels == 1
    samples, song = sent.get_all_samples().data[0].numpy(), read_mono(work / "audio/short.mp3", 16000)
    if audio_format == "mp3":
        assert len(samples) == pytest.approx(len(song), rel=0.05)
    else:
        np.testing.assert_allclose(samples, song, atol=2 / 32768)


def test_rows_keep_their_order_over_many_requests(server, work):
    names = ["short", "long"] * 6
    outcome = caption(work, remote(server, workers=4), *names)
    assert [row["id"] for row in outcome.kept] == names
    assert len({row["description"] for row in outcome.kept}) == 2
    assert len(server.requests) == len(names) + 1


def test_a_busy_server_is_asked_again(server, work):
    captioner = remote(server, workers=1)
    captioner.start()
    server.stumbles = [429, 503]
    assert len(Caption(work, captioner)(rows("short")).kept) == 1
    assert not server.stumbles


def test_what_a_server_refuses_is_a_ledger_entry(server, work):
    captioner = remote(server, workers=1)
    captioner.check()
    captioner.start()
    Caption(work, captioner)(rows("long"))
    server.refused.add(heard(server.requests[-1])[0])
    outcome = Caption(work, captioner)(rows("long", "short"))
    assert [row["id"] for row in outcome.kept] == ["short"]
    assert [item.reason for item in outcome.dropped] == ["refused by the server: HTTP 400: the audio is too long"]
    server.stumbles = [500] * 3  # an answer each, and the server is alive
    (item,) = Caption(work, captioner)(rows("long")).dropped
    assert item.reason == "refused by the server: HTTP 500: in a moment"


def test_empty_and_unfinished_answers(server, work):
    captioner = remote(server)
    captioner.start()
    server.finish_reason = "length"
    assert Caption(work, captioner)(rows("short")).dropped[0].reason == "unfinished: cut off after 768 tokens"
    captioner.keep_unfinished = True
    assert Caption(work, captioner)(rows("short")).kept
    server.write = lambda *_: " \n"
    assert Caption(work, captioner)(rows("short")).dropped[0].reason == "empty: the model wrote nothing"


def test_a_server_that_goes_away_stops_the_run(work):
    with chat_server(lambda *_: "music") as server:
        captioner = remote(server, retries=0)
        captioner.check()
        captioner.start()
    with pytest.raises(ItemError, match=rf"item short: {server.url} does not answer: Connection error"):
        Caption(work, captioner)(rows("short"))


def test_a_server_that_shuts_us_out_stops_the_run(server, work):
    captioner = remote(server)
    captioner.start()
    server.stumbles = [401]
    with pytest.raises(ItemError, match="refuses to go on: HTTP 401: in a moment"):
        Caption(work, captioner)(rows("short"))


def test_servers_are_checked_before_work(server):
    with pytest.raises(ValueError, match=r"has no 'music-ml', but music-lm"):
        remote(server, model="music-ml").check()
    with pytest.raises(ConnectionError, match=r"http://127.0.0.1:9/v1 does not list models \(Connection error"):
        remote(server, base_url="http://127.0.0.1:9/v1", retries=0).check()
    with pytest.raises(ConnectionError, match=r"does not list models \(HTTP 404: no such page"):
        remote(server, base_url=server.url.removesuffix("/v1")).check()
    server.deaf = True
    with pytest.raises(ValueError, match=r"music-lm takes no audio from us \(HTTP 400: music-lm is not multimodal"):
        remote(server).check()
    for option, value in {"workers": 0, "timeout": 0, "retries": -1, "base_url": "localhost:8000"}.items():
        with pytest.raises(ValueError, match=f"caption.{option} must be"):
            remote(server, **{option: value}).check()


def test_the_key_comes_from_the_environment_and_stays_out_of_the_settings(server, work, monkeypatch):
    monkeypatch.setenv("MUSIC_KEY", "secret")
    captioner = remote(server, key_variable="MUSIC_KEY")
    captioner.check()
    assert server.keys == ["Bearer secret"]
    assert "secret" not in repr(captioner)
    assert captioner.settings() == remote(server, base_url="http://elsewhere/v1", workers=9).settings()


# --- captions in files ------------------------------------------------------------------------------------------------

TEXTS = {"short": "A calm piece.\n**0-18% - Intro:**\n- a lone tone", "other": 'With "quotes", commas\nand lines'}


def write(path: Path, texts: list[tuple], columns: tuple[str, str] = ("id", "caption")) -> Path:
    table = [dict(zip(columns, pair, strict=True)) | {"rating": 5} for pair in texts]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(table), path)
    elif path.suffix == ".csv":
        pa.csv.write_csv(pa.Table.from_pylist(table), path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_captions_come_from_files_without_audio(suffix, tmp_path):
    file = write(tmp_path / f"futga{suffix}", [*TEXTS.items(), ("empty", "")], ("ytid", "text"))
    captioner = ImportedCaptions(file, "FUTGA", id_column="ytid", text_column="text")
    stage = Caption(tmp_path, captioner)
    stage.check()
    stage = pickle.loads(pickle.dumps(stage))
    stage.start()
    outcome = stage([{"id": name, "path": None} for name in ("other", "empty", "short", "unknown")])
    assert {row["id"]: row["description"] for row in outcome.kept} == TEXTS
    assert {(row["caption_source"], row["caption_model"]) for row in outcome.kept} == {("imported", "FUTGA")}
    reason = f"no caption: futga{suffix} has none for it"
    assert [(item.id, item.reason) for item in outcome.dropped] == [("empty", reason), ("unknown", reason)]


def test_files_of_captions_are_checked_before_work(tmp_path):
    def problem(name: str, content: str | list, message: str, **options) -> None:
        file = tmp_path / name
        file.write_text(content) if isinstance(content, str) else write(file, content)
        with pytest.raises(ValueError, match=message):
            ImportedCaptions(file, "FUTGA", **options).check()

    for suffix in ("csv", "jsonl", "parquet"):
        pairs = [("a", "one"), ("b", "two")]
        problem(f"a.{suffix}", pairs, r"no column 'text' \(it has id, caption, rating\)", text_column="text")
        problem(f"b.{suffix}", [*pairs, ("a", "three")], r"row 3: a second caption for a")
        problem(f"c.{suffix}", [], "holds no caption|has no column")
    problem("d.jsonl", '{"id": "a", "caption": "b"}\n{"id": ', "d.jsonl, row 2: ")
    problem("e.jsonl", '{"id": 7, "caption": "b"}\n', "e.jsonl, row 1: id must be text, not 7")
    problem("f.jsonl", '["a"]\n', "has no column 'id'")
    problem("g.parquet", "text", "g.parquet is no parquet file")
    problem("h.txt", "text", "must end in .jsonl, .csv or .parquet")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing.csv"):
        ImportedCaptions(tmp_path / "nothing.csv", "FUTGA").check()
    with pytest.raises(ValueError, match=r"caption.model must say what wrote"):
        ImportedCaptions(tmp_path / "a.csv", "").check()


def test_settings_know_a_file_by_its_content(tmp_path):
    one = ImportedCaptions(write(tmp_path / "a.csv", list(TEXTS.items())), "FUTGA")
    same = ImportedCaptions(write(tmp_path / "b.csv", list(TEXTS.items())), "FUTGA")
    other = ImportedCaptions(write(tmp_path / "c.csv", list(TEXTS.items())[:1]), "FUTGA")
    assert one.settings() == same.settings() != other.settings()
    assert json.loads(json.dumps(one.settings())) == one.settings()


# --- the stage --------------------------------------------------------------------------------------------------------


def test_a_missing_audio_file_stops_the_run(work, server):
    captioner = remote(server)
    captioner.start()
    with pytest.raises(ItemError, match=r"item lost: its audio file .*lost.mp3 is not there"):
        Caption(work, captioner)(rows("lost"))


def test_backends_are_known_by_name():
    backends = {"transformers": TransformersCaptioner, "openai": ServerCaptioner, "imported": ImportedCaptions}
    assert backends == CAPTIONERS

"""The Space as a stranger has it: released to a Hub on loopback, downloaded, and started with nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client
from hub.loopback import LoopbackHub
from hub.maintainer import release
from hub.strangers import TIME_LIMIT, stranger_environment
from visits import SONGS, run_app

pytestmark = pytest.mark.slow

DOWNLOAD = (
    "from huggingface_hub import snapshot_download; snapshot_download('org/collap', repo_type='space', local_dir={!r})"
)


def test_the_released_space_runs(hub: LoopbackHub, tiny_checkpoint: Path, tiny_library: Path, tmp_path: Path) -> None:
    """With the model from the Hub, the library from the snapshot, and the rooms beside `app.py`."""
    weights, library = f"--weights=collap-gpt2={tiny_checkpoint}", f"--library={tiny_library}"
    release(hub, tmp_path, "collap-gpt2", "collap", "--space-model", "collap-gpt2", weights, library)

    snapshot, home = tmp_path / "snapshot", tmp_path / "stranger"
    home.mkdir()
    visiting = stranger_environment(hub, home)
    subprocess.run([sys.executable, "-c", DOWNLOAD.format(str(snapshot))], env=visiting, check=True, timeout=TIME_LIMIT)
    visiting = {name: value for name, value in visiting.items() if not name.startswith("COLLAP_")}
    with run_app(snapshot / "app.py", home, visiting, without_checkout=True) as app:
        client = Client(app.url, verbose=False, analytics_enabled=False)
        results = client.predict("a calm verse", 3, api_name="/find_music")["results"]
        assert {result["track"]["title"] for result in results} == set(SONGS)
        described = client.predict(track=results[0]["track"]["id"], labels="calm, loud", api_name="/describe_track")
        assert described["texts"]
        assert {tag["label"] for tag in described["tags"]} == {"calm", "loud"}
    assert not app.refusals()
    assert any(received.path.startswith("/org/collap-gpt2/resolve/") for received in hub.requests)

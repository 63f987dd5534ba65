"""`transformers.pipeline("zero-shot-audio-classification")` with whole tracks, any audio, and CoLLAP's own score."""

import os
from collections.abc import Sequence
from typing import Any

from transformers import BatchFeature, Pipeline


class CollapZeroShotAudioClassificationPipeline(Pipeline):
    """Says which of some labels fits a track best, with the answers and options of transformers' own pipeline.

    That one tokenizes the labels by itself, and so loses the passages that the structure term reads; it reads single
    channels at one sampling rate only. This one hands tracks and labels to the processor.

    Example:
        ```python
        classify = pipeline("zero-shot-audio-classification", model="org/collap-mini", trust_remote_code=True)
        classify("song.mp3", candidate_labels=["jazz", "techno"], hypothesis_template="{} music.")
        ```
    """

    # The processor holds whatever else is needed.
    _load_processor: Any = True
    _load_tokenizer: Any = False
    _load_feature_extractor: Any = False
    _load_image_processor: Any = False
    _load_video_processor: Any = False
    processor: Any

    def __call__(self, audio: Any, **options: Any) -> Any:  # type: ignore[override]
        """Score one track, or a list of tracks, against the labels.

        Args:
            audio: a track as `CollapFeatureExtractor` takes it: a path, encoded bytes, a decoder, a `datasets` Audio
                dict, or samples in an array or tensor. A list is several tracks.
            candidate_labels: texts of any length.
            hypothesis_template: the sentence a label is put into, at its "{}"; "{}" is the label alone.
            sampling_rate: rate in hertz of tracks that are given as bare samples, and required for these.

        Returns:
            One dict per label, `{"score", "label"}`, best first; for a list of tracks, a list of these. Scores are the
            softmax of the model's `logits_per_audio` over the labels.

        Raises:
            FileNotFoundError: an audio file does not exist.
            ValueError: labels or the template are of no use, or a track cannot be used; the message says which and why.
        """
        return super().__call__(audio, **options)

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """Write model and processor, with their code, as the folder that this pipeline is loaded from."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)

    def get_iterator(self, inputs: Any, num_workers: int, batch_size: int, *params: Any) -> Any:
        """Tracks are scored one at a time, whatever the batch size: padded to one another they would only cost more."""
        return super().get_iterator(inputs, num_workers, 1, *params)

    def _sanitize_parameters(  # type: ignore[override]
        self,
        candidate_labels: Sequence[str] | None = None,
        hypothesis_template: str | None = None,
        sampling_rate: int | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        options = {
            "candidate_labels": None if candidate_labels is None else _checked_labels(candidate_labels),
            "hypothesis_template": None if hypothesis_template is None else _checked_template(hypothesis_template),
            "sampling_rate": sampling_rate,
        }
        return {name: value for name, value in options.items() if value is not None}, {}, {}

    def preprocess(  # type: ignore[override]
        self,
        audio: Any,
        candidate_labels: list[str] | None = None,
        hypothesis_template: str = "This is a sound of {}.",
        sampling_rate: int | None = None,
    ) -> dict[str, Any]:
        if candidate_labels is None:
            raise ValueError("candidate_labels are missing: give the texts to choose from.")
        sentences = [hypothesis_template.replace("{}", label) for label in candidate_labels]
        inputs = self.processor(audio=[audio], text=sentences, sampling_rate=sampling_rate, return_tensors="pt")
        return {"candidate_labels": candidate_labels, "inputs": inputs}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        inputs: BatchFeature = model_inputs["inputs"]
        return {
            "candidate_labels": model_inputs["candidate_labels"],
            "logits": self.model(**inputs).logits_per_audio[0],  # (labels,)
        }

    def postprocess(self, model_outputs: dict[str, Any]) -> list[dict[str, Any]]:  # type: ignore[override]
        scores = model_outputs["logits"].softmax(0).tolist()
        answers = zip(scores, model_outputs["candidate_labels"], strict=True)
        return [{"score": score, "label": label} for score, label in sorted(answers, key=lambda answer: -answer[0])]


def _checked_labels(labels: Sequence[str]) -> list[str]:
    if isinstance(labels, str):
        raise ValueError(f"candidate_labels must be a list of texts, not the one text {labels!r}.")
    labels = list(labels)
    if not labels:
        raise ValueError("candidate_labels are empty: give at least one text.")
    for label in labels:
        if not isinstance(label, str) or not label.strip():
            raise ValueError(f"every candidate label must be a text, not {label!r}.")
    return labels


def _checked_template(template: str) -> str:
    if "{}" not in template:
        raise ValueError(f"hypothesis_template must have {{}} where the label goes, unlike {template!r}.")
    return template

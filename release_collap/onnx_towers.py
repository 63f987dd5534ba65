"""The two halves of a model that become graphs: tensors by name in, tensors out, no look at their values."""

from torch import Tensor, nn

from modeling_collap import CollapModel

AUDIO_OUTPUTS = ("audio_features", "lengths")
# The fields of CollapTextFeatures, but that a graph cannot have an output with the name of an input.
TEXT_OUTPUTS = ("text_embeds", "passage_embeds", "passage_places_kept", "passage_sharpness", "passage_seconds_kept")


class AudioTower(nn.Module):
    """h_A of whole tracks, `CollapModel.get_audio_features` without a look at the values.

    All windows of a call are encoded at once, those that are padding included, and the sequences are not cut to the
    longest track. Windows do not see each other: a caller may as well give them a few at a time, or each as a track.
    """

    def __init__(self, model: CollapModel) -> None:
        super().__init__()
        self.encoder = model.audio_encoder
        branches = {"input_features": self.encoder.whisper, "fbank": self.encoder.beats}
        self.inputs = [
            name
            for branch, encoder in branches.items()
            if encoder is not None
            for name in (branch, f"{branch}_lengths")
        ]
        self.outputs = list(AUDIO_OUTPUTS)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Features (N, K P, D), where P are the steps of a full window, and lengths (N,).

        Args:
            inputs: what the feature extractor gives of N tracks in K windows, by the names in `self.inputs`.
        """
        tracks = inputs[self.inputs[0]].shape[:2]  # (N, K)
        windows, steps = self.encoder.encode_windows(**{name: rows.flatten(0, 1) for name, rows in inputs.items()})
        return windows.unflatten(0, tracks).flatten(1, 2), steps.unflatten(0, tracks).sum(1)


class TextTower(nn.Module):
    """`CollapModel.encode_text`; with a structure term it wants the passages, without it there are none."""

    def __init__(self, model: CollapModel) -> None:
        super().__init__()
        self.model = model
        self.inputs = ["input_ids", "attention_mask"]
        self.outputs = ["text_embeds"]
        if model.config.gamma_structure:
            self.inputs += ["passage_ids", "passage_places", "passage_seconds"]
            self.outputs = list(TEXT_OUTPUTS)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """The fields of `CollapTextFeatures` that are there.

        Args:
            inputs: what the processor gives of M texts, by the names in `self.inputs`.
        """
        return tuple(self.model.encode_text(**inputs).present().values())

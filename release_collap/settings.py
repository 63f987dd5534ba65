"""What is to be released: found, checked and assembled repository by repository."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .contents import check_contents
from .dataset_staging import assemble_dataset, dataset_shards
from .errors import ReleaseError
from .gate import GateReport, card_problems, check_model
from .model_staging import assemble_model, weight_files
from .repositories import AUDIOSET, MINI, REPOSITORIES, ROOT, SPACE, Repository
from .space_staging import assemble_space, check_index, check_space

DEFAULT_OUTPUT = Path("build/release")


@dataclass(frozen=True)
class ReleaseSettings:
    """What is to be released; see `collap release --help`."""

    org: str
    what: tuple[str, ...] = ()
    weights: Mapping[str, Path] = field(default_factory=dict)
    dataset: Path | None = None
    space: Path = ROOT / "space"
    space_model: str = MINI.name
    library: Path | None = None
    output: Path = DEFAULT_OUTPUT
    private: bool = False
    rehearsal: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        models = [each.name for each in REPOSITORIES.values() if each.type == "model"]
        for name in self.what:
            if name not in REPOSITORIES:
                raise ReleaseError(f"{name} is not released here; these are: {', '.join(REPOSITORIES)}")
        for name in (*self.weights, self.space_model):
            if name not in models:
                raise ReleaseError(f"{name} is no model that is released here; these are: {', '.join(models)}")
        if not self.org or not all(letter.isalnum() or letter in "-_." for letter in self.org):
            raise ReleaseError(f"--org {self.org!r} is no name of a user or organisation")

    def weights_of(self, model: str) -> Path | None:
        """The folder of a model's weights; collap-mini's are in this repository."""
        return self.weights.get(model, ROOT / "checkpoints" / model if model == MINI.name else None)

    @property
    def repositories(self) -> list[Repository]:
        """What was asked for, or all that exists, in the order of pushing."""
        return [each for each in REPOSITORIES.values() if each.name in self.what or (not self.what and self._has(each))]

    def _has(self, repository: Repository) -> bool:
        if repository == AUDIOSET:
            return self.dataset is not None
        if repository == SPACE:
            return (self.space / "app.py").is_file()
        return self.weights_of(repository.name) is not None

    def check(self) -> None:
        """
        Raises:
            ReleaseError: something that was asked for is not there.
        """
        if not self.repositories:
            raise ReleaseError("there is nothing to release: name weights, a dataset or a Space")
        for each in self.repositories:
            if each == AUDIOSET:
                if self.dataset is None:
                    raise ReleaseError(
                        f"{each.name} has no rows here: give --dataset the folder that `collap dataset build --config "
                        "recipes/dataset/audioset.yaml` packs"
                    )
                dataset_shards(each.name, self.dataset)
            elif each == SPACE:
                check_space(each.name, self.space, self.library)
                model = self.weights_of(self.space_model)
                if self.library is not None and model is not None:
                    check_index(each.name, self.library, model)
            else:
                weights = self.weights_of(each.name)
                if weights is None:
                    raise ReleaseError(
                        f"{each.name} has no trained weights here: `accelerate launch train.py recipes/{each.name}"
                        f".yaml` on two 40 GB GPUs makes them; then give --weights {each.name}=FOLDER"
                    )
                weight_files(each.name, weights)

    def assemble(self, repository: Repository) -> Path:
        """The staging folder of one of them."""
        names = {"org": self.org}
        if repository == SPACE:
            return assemble_space(
                repository.name, self.space, self.output, model=self.space_model, library=self.library, **names
            )
        if repository == AUDIOSET:
            assert self.dataset is not None
            return assemble_dataset(repository.name, self.dataset, self.output, rehearsal=self.rehearsal, **names)
        weights = self.weights_of(repository.name)
        assert weights is not None
        return assemble_model(repository.name, weights, self.output, rehearsal=self._stands_in(repository), **names)

    def _stands_in(self, repository: Repository) -> bool:
        """Whether a rehearsal pushes a stand-in for it; collap-mini exists and needs none."""
        return self.rehearsal and repository != MINI

    def inspect(self, repository: Repository, folder: Path) -> GateReport | None:
        """Looks at a staging folder; the report is that of a model.

        Raises:
            ReleaseError: it must not be published.
        """
        check_contents(folder)
        if repository.type == "model":
            report = check_model(folder, rehearsal=self._stands_in(repository))
            report.require()
            return report
        if repository.type == "dataset":
            GateReport(folder, tuple(card_problems(folder, rehearsal=self._stands_in(repository)))).require()
        return None

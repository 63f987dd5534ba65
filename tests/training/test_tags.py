"""Tags of a dataset as numbers, and a recipe that learns them."""

import pytest
import tiny
import torch

from training_collap.recipe import load_recipe
from training_collap.run import run
from training_collap.tags import TagVocabulary


def test_the_vocabulary_has_what_some_sections_have_and_others_have_not() -> None:
    rows = tiny.rows(4)
    vocabulary = TagVocabulary.of(rows, least=4)
    assert vocabulary.names == ("pitch: high", "pitch: low"), "every section has tones"
    assert vocabulary.shares == (0.5, 0.5)


def test_rows_of_tags() -> None:
    vocabulary = TagVocabulary(("a", "b", "c"), (0.1, 0.1, 0.1))
    got = vocabulary.rows([[None, ["b", "rare"]], [["c", "a"]], []], passages=2)
    unknown = [-1.0, -1.0, -1.0]
    expected = [[unknown, [0, 1, 0]], [[1, 0, 1], unknown], [unknown, unknown]]
    assert torch.equal(got, torch.tensor(expected))


def test_data_without_tags_is_refused_before_training(tmp_path) -> None:
    rows = tiny.rows(2)
    with pytest.raises(ValueError, match="needs the column section_tags"):
        TagVocabulary.of(rows.remove_columns("section_tags"))
    with pytest.raises(ValueError, match="no tag in section_tags stands at 20 sections"):
        TagVocabulary.of(rows)
    content = tiny.recipe(tiny.write_dataset(tmp_path / "songs", train=24), tmp_path / "run")
    content["objective"] = {"tags": 0.5}
    with pytest.raises(ValueError, match=r"objective\.tags needs a model that scores passages"):
        run(load_recipe(tiny.write_recipe(tmp_path / "recipe.yaml", content)))


@pytest.mark.parametrize("chunk", [None, 1])
def test_a_recipe_with_tags_trains(tmp_path, chunk: int | None) -> None:
    content = tiny.recipe(tiny.write_dataset(tmp_path / "songs", train=24), tmp_path / "run", cached_batch_chunk=chunk)
    content["model"]["config"]["gamma_structure"] = 1.0
    content["objective"] = {"tags": 0.9, "sections": 0.3, "order_negatives": 1}
    content["training"] |= {"max_steps": 24, "learning_rate": 0.01}
    run(load_recipe(tiny.write_recipe(tmp_path / "recipe.yaml", content)))
    losses = list(tiny.logged(tmp_path / "run").values())
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])

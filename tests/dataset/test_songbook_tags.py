"""Tags of the songbook's sections: what the captions are written from, all of it."""

from dataclasses import replace

from test_songbook_captions import LEAVING, SPOKEN, make_arrangement

from dataset_scripts.songbook.build import SongbookSettings, _plan_shards
from dataset_scripts.songbook.caption import write_caption
from dataset_scripts.songbook.tags import section_tags


def test_every_section_of_a_caption_has_its_tags_and_what_it_names_is_among_them() -> None:
    for seed in range(20):
        arrangement = make_arrangement(seed)
        passages, tags = write_caption(arrangement).passages, section_tags(arrangement)
        assert len(tags) == len(passages)
        for passage, names in zip(passages, tags, strict=True):
            text = LEAVING.sub("", passage.caption)  # who falls silent is named, too
            for spoken in sorted(SPOKEN, key=len, reverse=True):
                if spoken in text:
                    assert f"instrument: {SPOKEN[spoken]}" in names, (seed, passage)
                    text = text.replace(spoken, "")


def test_tags_tell_the_role_the_manner_and_the_loudness() -> None:
    arrangement = make_arrangement(3)
    for arranged, tags in zip(arrangement.sections, section_tags(arrangement), strict=True):
        assert tags == sorted(set(tags))
        assert f"dynamics: {arranged.dynamics}" in tags
        for part in arranged.parts:
            assert f"{part.role}: {part.instrument}" in tags
            assert f"{part.role} pattern: {part.pattern}" in tags
        assert ("register: high" in tags or "register: middle" in tags or "register: low" in tags) == any(
            part.role == "melody" for part in arranged.parts
        )


def test_further_renderings_are_others_of_the_same_songs() -> None:
    settings = SongbookSettings(songwriter=20, renderings=2)
    first, further = (
        {(job.song, job.seed) for name, jobs in _plan_shards(one).items() if name.startswith("train") for job in jobs}
        for one in (settings, replace(settings, first_rendering=2))
    )
    assert {seed for _, seed in first} == {0, 1}
    assert {(song, seed + 2) for song, seed in first} == further

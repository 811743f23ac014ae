from __future__ import annotations

import pytest

from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts import download
from fgvr_kit.layouts.hub import folder_of


@pytest.mark.parametrize(
    ("split", "folder"),
    [
        ("train", "train"), ("test.clean", "test.clean"), ("a/b c", "a_b_c"), ("../up", ".._up"),
        (".", "split-1"), ("..", "split-2"), ("", "split-0"),
    ],
)  # fmt: skip
def test_the_folder_of_a_split_lies_below_its_place(split: str, folder: str) -> None:
    assert folder_of(split) == folder


@pytest.mark.parametrize("module", ["httpx", "httpx2", "httpcore2"])
def test_whatever_client_cannot_reach_the_hub_is_told_in_words(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = type("ConnectError", (Exception,), {"__module__": module})

    def unreachable(*_: object, **__: object) -> None:
        raise lost("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
    monkeypatch.setattr("datasets.load_dataset", unreachable)
    assert download.commit_of(download.Wanted("org/name")) == ""
    with pytest.raises(DatasetError) as caught:
        download.loaded(download.Wanted("org/name"), "")
    assert caught.value.code == "hub-unreachable"

"""Labelled images: where they come from, what stays out, and how they are split."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explicate.errors import UsageError
from explicate_bundle.images import Preparation, decode, encode_png
from explicate_training.data.splits import Splits, split_data
from explicate_training.image import cleaning as image_cleaning
from explicate_training.image.cleaning import CleanImages, clean_images
from explicate_training.image.config import ImageDataConfig
from explicate_training.image.data import ImageSet, list_images
from explicate_training.tasks.registry import task_named
from support.tiny_image_run import LABELS, write_images

PREPARATION = Preparation(16, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "shapes", each=12)


def split_images(images: ImageSet, config: ImageDataConfig, *, seed: int) -> Splits[ImageSet]:
    return split_data(images, task_named(config.task), config, seed=seed)


def config_of(path: Path, **options: object) -> ImageDataConfig:
    return replace(ImageDataConfig(images=str(path)), **options)  # type: ignore[arg-type]


def cleaned(path: Path, **options: object) -> CleanImages:
    config = config_of(path, **options)
    return clean_images(list_images(config), PREPARATION, config)


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_folders_of_a_folder_are_the_classes(folder: Path) -> None:
    images = list_images(config_of(folder))
    assert Counter(image.label for image in images) == dict.fromkeys(LABELS, 12)
    assert {image.split for image in images} == {"train"}
    assert images[0].name == "circle/0.png"


def test_folders_named_as_splits_are_the_splits(tmp_path: Path) -> None:
    for name, each in (("train", 12), ("val", 3), ("test", 4)):
        write_images(tmp_path / "data" / name, each=each, seed=each)
    images = list_images(config_of(tmp_path / "data"))
    assert Counter(image.split for image in images) == {"train": 36, "validation": 9, "test": 12}
    write_images(tmp_path / "other", each=5, seed=9)
    replaced = list_images(config_of(tmp_path / "data", test=str(tmp_path / "other")))
    assert Counter(image.split for image in replaced) == {"train": 36, "validation": 9, "test": 15}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_names_images_from_its_own_folder(folder: Path, ending: str) -> None:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    if ending == "jsonl":
        rows = [{"picture": name, "shape": name.split("/")[0], "who": index % 5} for index, name in enumerate(names)]
        path = write_rows(folder / "rows.jsonl", rows)  # type: ignore[arg-type]
    else:
        path = folder / "rows.csv"
        lines = [f"{name},{name.split('/')[0]},{index % 5}" for index, name in enumerate(names)]
        path.write_text("\n".join(["picture,shape,who", *lines]), encoding="utf-8")
    images = list_images(config_of(path, image_column="picture", label_column="shape", group_column="who"))
    assert [image.name for image in images] == names
    assert [image.label for image in images] == [name.split("/")[0] for name in names]
    assert [image.group for image in images] == [str(index % 5) for index in range(len(names))]


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "link.png", "circle/../../secret.png"])
def test_images_outside_the_folder_of_the_data_are_refused(folder: Path, name: str) -> None:
    Image.new("RGB", (9, 9)).save(folder.parent / "secret.png")
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    path = write_rows(folder / "rows.jsonl", [{"image": name, "label": "a"}])
    with pytest.raises(UsageError, match=r"row 1: the image .* is outside the folder of the data"):
        list_images(config_of(path))


def test_a_link_out_of_a_class_folder_is_refused(folder: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder.parent / "secret.png")
    (folder / "circle" / "link.png").symlink_to(folder.parent / "secret.png")
    with pytest.raises(UsageError, match="outside the folder of the data"):
        list_images(config_of(folder))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"image": 7, "label": "a"}, "row 1: 'image' is not the path of an image: set data.image_column"),
        ({"image": "a\0.png", "label": "a"}, "is no path"),
        ({"image": "a.png", "label": ["a"]}, "row 1: list is no label: check data.label_column"),
        ({"image": "a.png"}, "has no column 'label': set data.label_column"),
    ],
)
def test_rows_that_name_no_image_are_pointed_at(tmp_path: Path, row: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        list_images(config_of(write_rows(tmp_path / "rows.jsonl", [row])))


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(
        UsageError, match=r"data\.images: .*empty has no images: give a folder with a folder for each class"
    ):
        list_images(config_of(tmp_path / "empty"))
    with pytest.raises(UsageError, match=r"data\.images: .* does not exist"):
        list_images(config_of(tmp_path / "none"))


def test_cleaning_takes_out_what_cannot_be_learnt_from_and_says_what(folder: Path) -> None:
    first, second = folder / "circle" / "0.png", folder / "square" / "1.png"
    (folder / "circle" / "cut.png").write_bytes(first.read_bytes()[:100])
    (folder / "circle" / "text.jpg").write_text("not an image")
    Image.new("RGB", (3, 30)).save(folder / "circle" / "tiny.png")
    Image.open(first).save(folder / "circle" / "again.bmp")  # another file, the same picture
    Image.open(second).save(folder / "stripe" / "square.png")  # the same picture with another label
    clean = cleaned(folder)
    assert dict(clean.report.dropped) == {
        "cannot be read": 2,
        "smaller than data.minimum_edge": 1,
        "same picture as another": 1,
        "same picture, two labels": 2,
    }
    assert len(clean.images) == 36 - 1
    assert clean.report.examples["same picture as another"] == ["circle/again.bmp: as circle/0.png"] or (
        clean.report.examples["same picture as another"] == ["circle/0.png: as circle/again.bmp"]
    )
    assert (
        "circle/cut.png: is a PNG file that cannot be decoded; it is damaged or breaks off"
        in clean.report.examples["cannot be read"]
    )
    assert clean.report.examples["smaller than data.minimum_edge"] == ["circle/tiny.png: 3 x 30 pixels"]


def test_pixels_are_those_of_the_prepared_images(folder: Path) -> None:
    images = cleaned(folder).images
    for place, name in zip(images.places, images.names, strict=True):
        expected = PREPARATION.pixels(decode((folder / name).read_bytes()))
        np.testing.assert_array_equal(images.pixels[place], expected)


def test_missing_files_and_large_ones_are_left_out_with_their_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(path.relative_to(folder)) for path in folder.rglob("*.png")]
    rows: list[dict[str, object]] = [{"image": name, "label": name.split("/")[0]} for name in names]
    path = write_rows(folder / "rows.jsonl", [*rows, {"image": "gone.png", "label": "circle"}, {"image": names[0]}])
    clean = cleaned(path)
    assert clean.report.examples["cannot be read"] == ["gone.png: cannot be read (No such file or directory)"]
    assert clean.report.dropped["no label"] == 1
    monkeypatch.setattr("explicate_training.image.data.MAX_FILE_BYTES", 50)
    with pytest.raises(UsageError, match=r"0 class\(es\) after cleaning \(.*37 cannot be read"):
        cleaned(path)


def test_pictures_of_the_given_test_set_are_not_learnt_from(folder: Path, tmp_path: Path) -> None:
    test = write_images(tmp_path / "test", each=4, seed=5)
    Image.open(test / "circle" / "0.png").save(folder / "circle" / "leak.png")
    Image.open(test / "circle" / "0.png").save(test / "circle" / "twice.png")
    clean = cleaned(folder, test=str(test))
    assert clean.report.dropped["stands in the given test or validation set"] == 1
    assert clean.report.test_duplicates_kept == 1
    assert Counter(clean.images.splits) == {"train": 36, "test": 13}


def test_too_few_images_of_a_class_and_unknown_classes_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"too few images of class 'circle' \(12\), 'square' \(12\), 'stripe' \(12\)"):
        cleaned(folder, minimum_class_count=13)
    other = write_images(tmp_path / "other", each=3, seed=4)
    (other / "stripe").rename(other / "blob")
    with pytest.raises(UsageError, match=r"the test set has classes that the training data lacks: blob"):
        cleaned(folder, test=str(other))


def test_a_disk_without_room_is_named_before_anything_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cleaning, "_SPARE_BYTES", 2**60)
    with pytest.raises(UsageError, match=r"36 images of 16 x 16 pixels need 0\.0 GiB in .*: free some, or set TMPDIR"):
        cleaned(folder)


def test_the_digest_is_of_pictures_and_labels_and_not_of_files(folder: Path) -> None:
    before = cleaned(folder).sha256
    first = folder / "circle" / "0.png"
    image = Image.open(first).copy()
    image.save(first, compress_level=0)
    assert cleaned(folder).sha256 == before
    image.putpixel((0, 0), (1, 2, 3))
    image.save(first)
    assert cleaned(folder).sha256 != before


def test_every_class_is_in_every_split_in_its_share(tmp_path: Path) -> None:
    clean = cleaned(write_images(tmp_path / "shapes", each=40))
    splits = split_images(clean.images, config_of(tmp_path), seed=3)
    assert [len(part) for part in vars(splits).values()] == [87, 15, 18]
    for part, each in ((splits.test, 6), (splits.validation, 5)):
        assert Counter(part.labels) == dict.fromkeys(LABELS, each)
    everything = np.concatenate([part.places for part in vars(splits).values()])
    assert sorted(everything.tolist()) == list(range(120))
    again = split_images(clean.images, config_of(tmp_path), seed=3)
    np.testing.assert_array_equal(again.test.places, splits.test.places)
    assert split_images(clean.images, config_of(tmp_path), seed=4).test.places.tolist() != splits.test.places.tolist()


def test_a_group_never_stands_in_two_splits(folder: Path) -> None:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    rows: list[dict[str, object]] = [
        {"image": name, "label": name.split("/")[0], "who": int(Path(name).stem) // 2} for name in names
    ]
    path = write_rows(folder / "rows.jsonl", rows)
    clean = cleaned(path, group_column="who")
    splits = split_images(clean.images, config_of(path, group_column="who", test_fraction=0.3), seed=0)
    groups = [set(part.groups) for part in vars(splits).values()]  # type: ignore[arg-type]
    assert all(groups)
    assert len(set.union(*groups)) == sum(map(len, groups))


def test_groups_that_cannot_be_kept_apart_are_named(folder: Path, tmp_path: Path) -> None:
    test = write_images(tmp_path / "test", each=2, seed=8)
    lines: dict[Path, list[dict[str, object]]] = {folder: [], test: []}
    for root, rows in lines.items():
        rows += [
            {"image": str(path.relative_to(root)), "label": path.parent.name, "who": "ann"}
            for path in root.rglob("*.png")
        ]
    paths = [write_rows(root / "rows.jsonl", rows) for root, rows in lines.items()]
    options = {"test": str(paths[1]), "group_column": "who"}
    clean = cleaned(paths[0], **options)
    with pytest.raises(UsageError, match="too few images or groups"):
        split_images(clean.images, config_of(paths[0], **options), seed=0)


def test_the_digits_are_scikit_learns() -> None:
    images = list_images(ImageDataConfig(demo="digits"))
    assert len(images) == 1797
    first = np.asarray(decode(images[0].content))  # type: ignore[arg-type]
    assert first.shape == (8, 8, 3)
    assert (images[0].label, first.max()) == ("0", round(15 * 255 / 16))
    assert encode_png(first[:, :, 0]) == images[0].content


def test_files_of_a_folder_that_are_not_learnt_from_are_told(folder: Path) -> None:
    (folder / "circle" / "phone.heic").write_bytes(b"a format that is not read")
    (folder / "circle" / ".DS_Store").write_bytes(b"hidden")
    Image.new("RGB", (9, 9)).save(folder / "stray.png")  # in no folder of a class
    report = cleaned(folder).report
    assert dict(report.dropped) == {"no label": 1, "cannot be read": 1}
    assert report.examples["no label"] == ["stray.png"]
    assert report.examples["cannot be read"][0].startswith("circle/phone.heic: is no PNG, JPEG")

"""Bundles are read only if they are whole, harmless and unaltered, and written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import TINY_CARD, TINY_TENSORS

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import load_bundle, load_card, save_bundle
from LandmarkDetectionLib.models.bundle_files import export_bundle, replace_folder, write_bundle_files


def zip_with(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, contents in entries.items():
            archive.writestr(name, contents)
    return path


def contents_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def replace_weights(folder: Path, weights: bytes) -> None:
    """Other weights, with a card that vouches for them."""
    (folder / "weights.safetensors").write_bytes(weights)
    card = json.loads((folder / "model.json").read_text())
    card["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    (folder / "model.json").write_text(json.dumps(card))


def assert_is_the_tiny_model(bundle) -> None:
    assert bundle.card.name == "tiny-brain"
    assert bundle.tensors.keys() == TINY_TENSORS.keys()
    for name, tensor in TINY_TENSORS.items():
        assert bundle.tensors[name].dtype == tensor.dtype
        assert torch.equal(bundle.tensors[name], tensor)


class TestReading:
    def test_a_folder_comes_back_as_it_was_saved(self, tiny_bundle):
        bundle = load_bundle(tiny_bundle)
        assert_is_the_tiny_model(bundle)
        assert bundle.folder == tiny_bundle
        stored = hashlib.sha256((tiny_bundle / "weights.safetensors").read_bytes()).hexdigest()
        assert bundle.weights_sha256 == bundle.card.weights_sha256 == stored

    @pytest.mark.parametrize("base_dir", [".", "tiny-brain"])
    def test_a_zip_of_the_files_or_of_their_folder_is_the_same_bundle(self, tiny_bundle, base_dir):
        root = tiny_bundle if base_dir == "." else tiny_bundle.parent
        archive = shutil.make_archive(str(tiny_bundle.parent / "zipped"), "zip", root, base_dir)
        bundle = load_bundle(archive)
        assert_is_the_tiny_model(bundle)
        assert bundle.folder is None

    def test_the_card_alone_needs_neither_weights_nor_torch(self, tiny_bundle):
        (tiny_bundle / "weights.safetensors").unlink()
        program = """
            import sys
            from LandmarkDetectionLib.models.bundle import load_card
            print(load_card(sys.argv[1]).name, {"torch", "safetensors", "sklearn", "slicer"} & set(sys.modules))
        """
        command = [sys.executable, "-c", textwrap.dedent(program), str(tiny_bundle)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "tiny-brain set()"

    def test_a_preview_is_welcome(self, tiny_bundle):
        (tiny_bundle / "preview.png").write_bytes(b"picture")
        assert_is_the_tiny_model(load_bundle(shutil.make_archive(str(tiny_bundle), "zip", tiny_bundle)))

    def test_a_missing_bundle_is_named(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match=r"gone does not exist; give the folder or zip of a model"):
            load_bundle(tmp_path / "gone")

    def test_an_empty_folder_is_no_bundle(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match=r"is not a model bundle: it holds no model\.json\.$"):
            load_bundle(tmp_path)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (b"", "Expecting value"),
            (b'{"name": ', "Expecting value"),
            (b"\xff\xfe\x00", "codec"),
            (b"[" * 10**6, "recursion"),
        ],
    )
    def test_a_card_that_is_not_json_is_refused(self, tiny_bundle, text, reason):
        (tiny_bundle / "model.json").write_bytes(text)
        with pytest.raises(LandmarkDetectionError, match=rf"^tiny-brain/model\.json is not valid JSON \(.*{reason}"):
            load_card(tiny_bundle)

    def test_a_wrong_card_is_named_with_its_bundle(self, tiny_bundle):
        (tiny_bundle / "model.json").write_text(json.dumps(TINY_CARD | {"dimension": "3"}))
        with pytest.raises(LandmarkDetectionError, match=r"^tiny-brain/model\.json: dimension must be 2 or 3\.$"):
            load_bundle(tiny_bundle)

    def test_an_exported_zip_is_the_same_bundle(self, tiny_bundle, tmp_path):
        export_bundle(tiny_bundle, tmp_path / "sent" / "tiny.zip")
        assert_is_the_tiny_model(load_bundle(tmp_path / "sent" / "tiny.zip"))

    def test_what_is_no_bundle_is_not_exported(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match=r"holds no model\.json"):
            export_bundle(tmp_path, tmp_path / "tiny.zip")
        assert not (tmp_path / "tiny.zip").exists()


class TestWeights:
    @pytest.mark.parametrize("position", [0, 20, -1])
    def test_one_altered_byte_is_noticed(self, tiny_bundle, position):
        weights = bytearray((tiny_bundle / "weights.safetensors").read_bytes())
        weights[position] ^= 1
        (tiny_bundle / "weights.safetensors").write_bytes(weights)
        with pytest.raises(LandmarkDetectionError, match=r"is not the file its card was written for \(SHA-256"):
            load_bundle(tiny_bundle)

    def test_a_card_without_a_hash_vouches_for_nothing(self, tiny_bundle):
        (tiny_bundle / "model.json").write_text(json.dumps(TINY_CARD))
        with pytest.raises(LandmarkDetectionError, match="SHA-256 differs"):
            load_bundle(tiny_bundle)

    def test_weights_cut_off_anywhere_are_refused_even_with_the_right_hash(self, tiny_bundle):
        whole = (tiny_bundle / "weights.safetensors").read_bytes()
        for length in range(len(whole)):
            replace_weights(tiny_bundle, whole[:length])
            with pytest.raises(LandmarkDetectionError, match=r"weights\.safetensors is not a whole safetensors file"):
                load_bundle(tiny_bundle)

    def test_pickled_weights_are_never_unpickled(self, tiny_bundle):
        """Unpickling this would end the process with status 3."""

        class Bomb:
            def __reduce__(self):
                return os._exit, (3,)

        pickled = io.BytesIO()
        torch.save({"head.bias": Bomb()}, pickled)
        replace_weights(tiny_bundle, pickled.getvalue())
        with pytest.raises(LandmarkDetectionError, match="is not a whole safetensors file"):
            load_bundle(tiny_bundle)

    def test_a_bundle_with_only_a_pickle_file_says_so(self, tiny_bundle):
        (tiny_bundle / "weights.safetensors").rename(tiny_bundle / "weights.pt")
        with pytest.raises(LandmarkDetectionError, match=r"no weights\.safetensors; pickled weights are never read"):
            load_bundle(tiny_bundle)


class TestZip:
    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("../model.json", "leads out of the folder"),
            ("tiny/../../model.json", "leads out of the folder"),
            ("/model.json", "leads out of the folder"),
            ("C:/model.json", "leads out of the folder"),
            ("..\\model.json", "leads out of the folder"),
            ("weights.pt", "weights.pt is no part of a model bundle"),
            ("tiny/deep/model.json", "is no part of a model bundle"),
            ("tiny/model.json", "it holds model.json twice"),
            ("tiny/preview.png", "its files lie in different folders"),
        ],
    )
    def test_an_entry_that_does_not_belong_is_refused(self, tiny_bundle, name, problem):
        archive = zip_with(tiny_bundle.with_suffix(".zip"), contents_of(tiny_bundle) | {name: b"{}"})
        for read in (load_bundle, load_card):
            with pytest.raises(LandmarkDetectionError) as caught:
                read(archive)
            assert problem in str(caught.value)
            assert str(caught.value).endswith("get the bundle from a source you trust.")

    def test_a_symbolic_link_is_refused(self, tiny_bundle):
        archive = zip_with(tiny_bundle.with_suffix(".zip"), contents_of(tiny_bundle))
        link = zipfile.ZipInfo("preview.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(archive, "a") as opened:
            opened.writestr(link, "/etc/passwd")
        with pytest.raises(LandmarkDetectionError, match=r"preview\.png leads out of the folder"):
            load_bundle(archive)

    def test_a_zip_bomb_is_refused_by_its_ratio(self, tiny_bundle):
        bomb = contents_of(tiny_bundle) | {"preview.png": bytes(20 * 2**20)}
        archive = zip_with(tiny_bundle.with_suffix(".zip"), bomb, zipfile.ZIP_DEFLATED)
        with pytest.raises(LandmarkDetectionError, match=r"preview\.png is compressed more than 100 times"):
            load_card(archive)

    def test_a_zip_bomb_is_refused_by_its_declared_size(self, tiny_bundle):
        archive = zip_with(tiny_bundle.with_suffix(".zip"), contents_of(tiny_bundle))
        declared = bytearray(archive.read_bytes())
        entry = declared.rindex(b"PK\x01\x02")
        declared[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
        archive.write_bytes(declared)
        with pytest.raises(LandmarkDetectionError, match="it would unpack to more than 1024 MB"):
            load_card(archive)

    def test_an_entry_that_declares_less_than_it_unpacks_to_never_fills_the_memory(self, tiny_bundle):
        contents = contents_of(tiny_bundle) | {"model.json": b" " * 50 * 2**20}
        archive = zip_with(tiny_bundle.with_suffix(".zip"), contents, zipfile.ZIP_DEFLATED)
        declared = bytearray(archive.read_bytes())
        entry = declared.index(b"model.json", declared.index(b"PK\x01\x02")) - 46
        declared[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
        archive.write_bytes(declared)
        with pytest.raises(LandmarkDetectionError, match="is not a whole zip file"):
            load_card(archive)

    def test_a_zip_cut_off_anywhere_is_refused(self, tiny_bundle):
        archive = zip_with(tiny_bundle.with_suffix(".zip"), contents_of(tiny_bundle))
        whole = archive.read_bytes()
        for length in range(0, len(whole), 37):
            archive.write_bytes(whole[:length])
            with pytest.raises(LandmarkDetectionError, match="is not a whole zip file"):
                load_bundle(archive)

    def test_a_file_that_is_no_zip_is_refused(self, tmp_path):
        (tmp_path / "model.zip").write_text("not a zip")
        with pytest.raises(LandmarkDetectionError, match=r"model\.zip is not a whole zip file"):
            load_bundle(tmp_path / "model.zip")

    def test_an_encrypted_zip_is_refused(self, tiny_bundle):
        archive = zip_with(tiny_bundle.with_suffix(".zip"), contents_of(tiny_bundle))
        encrypted = bytearray(archive.read_bytes())
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            start = encrypted.find(signature)
            while start >= 0:
                encrypted[start + offset] |= 1
                start = encrypted.find(signature, start + 4)
        archive.write_bytes(encrypted)
        with pytest.raises(LandmarkDetectionError, match=r"cannot be read: .*encrypted"):
            load_bundle(archive)


class TestWriting:
    def test_the_card_gets_the_hash_of_the_weights(self, tmp_path, tiny_card):
        written = save_bundle(tmp_path / "tiny", tiny_card, TINY_TENSORS)
        weights = (tmp_path / "tiny" / "weights.safetensors").read_bytes()
        assert written.weights_sha256 == hashlib.sha256(weights).hexdigest()
        assert load_card(tmp_path / "tiny").to_json() == written.to_json()

    def test_the_same_model_gives_the_same_bytes(self, tmp_path, tiny_card):
        save_bundle(tmp_path / "one", tiny_card, TINY_TENSORS)
        save_bundle(tmp_path / "two", tiny_card, dict(reversed(TINY_TENSORS.items())))
        assert contents_of(tmp_path / "one") == contents_of(tmp_path / "two")

    def test_views_and_shared_tensors_are_stored_by_value(self, tmp_path, tiny_card):
        weight = torch.arange(6.0).reshape(2, 3).requires_grad_()
        save_bundle(tmp_path / "tiny", tiny_card, {"a": weight, "b": weight.T, "c": weight})
        tensors = load_bundle(tmp_path / "tiny").tensors
        assert torch.equal(tensors["b"], tensors["a"].T)
        assert torch.equal(tensors["c"], weight)

    def test_a_new_bundle_replaces_the_old_one_and_leaves_nothing_beside_it(self, tiny_bundle, tiny_card):
        save_bundle(tiny_bundle, replace(tiny_card, version="2.0.0"), TINY_TENSORS)
        assert load_card(tiny_bundle).version == "2.0.0"
        assert [entry.name for entry in tiny_bundle.parent.iterdir()] == ["tiny-brain"]

    def test_a_card_that_could_not_be_read_back_is_never_written(self, tmp_path, tiny_card):
        with pytest.raises(LandmarkDetectionError, match=r"^model\.json: network\.gain must be a finite number\.$"):
            save_bundle(tmp_path / "tiny", replace(tiny_card, network={"gain": float("nan")}), TINY_TENSORS)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_with_other_contents_is_left_alone(self, tiny_bundle, tiny_card):
        (tiny_bundle / "thesis.docx").write_text("years of work")
        with pytest.raises(LandmarkDetectionError, match=r"holds thesis\.docx, which is no part of a model bundle"):
            save_bundle(tiny_bundle, tiny_card, TINY_TENSORS)
        assert (tiny_bundle / "thesis.docx").read_text() == "years of work"

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path, tiny_card):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(LandmarkDetectionError, match=r"file is a file; give the folder of a model bundle\.$"):
            save_bundle(tmp_path / "file", tiny_card, TINY_TENSORS)
        with pytest.raises(LandmarkDetectionError, match=r"The model bundle .*tiny cannot be written: "):
            save_bundle(tmp_path / "file" / "tiny", tiny_card, TINY_TENSORS)

    def test_a_kill_in_the_middle_of_writing_leaves_the_old_bundle(self, tiny_bundle, tiny_card):
        program = """
            import os, signal, sys
            from pathlib import Path
            from LandmarkDetectionLib.models.bundle_files import export_bundle, replace_folder, write_bundle_files

            class Deadly(dict):
                def items(self):
                    yield "model.json", b"{}"
                    os.kill(os.getpid(), signal.SIGKILL)

            write_bundle_files(Path(sys.argv[1]), Deadly())
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(tiny_bundle)], check=False)
        assert done.returncode == -9
        assert_is_the_tiny_model(load_bundle(tiny_bundle))
        save_bundle(tiny_bundle, replace(tiny_card, version="2.0.0"), TINY_TENSORS)
        assert load_bundle(tiny_bundle).card.version == "2.0.0"

    def test_a_failure_in_the_middle_of_writing_leaves_the_old_bundle_and_no_rubbish(self, tiny_bundle):
        with pytest.raises(LandmarkDetectionError, match="cannot be written"):
            write_bundle_files(tiny_bundle, {"model.json": b"{}", "no/such/folder": b""})
        assert_is_the_tiny_model(load_bundle(tiny_bundle))
        assert [entry.name for entry in tiny_bundle.parent.iterdir()] == ["tiny-brain"]

    def test_the_old_bundle_comes_back_if_the_new_one_cannot_take_its_place(self, tiny_bundle, tmp_path):
        with pytest.raises(FileNotFoundError):
            replace_folder(tiny_bundle, tmp_path / "not there", tmp_path / "old")
        assert_is_the_tiny_model(load_bundle(tiny_bundle))

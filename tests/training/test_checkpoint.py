"""Checkpoints: what is restored is what was saved, and what is damaged is passed over."""

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from surefit.errors import RunError
from surefit.model.parameters import FlatParameters
from surefit.progress import Progress
from surefit.trace import EpochTrace
from surefit.training.checkpoint import Checkpoints
from surefit.training.dynamics import TrainingDynamics
from surefit.training.optimizer import AdamW
from surefit.training.state import TrainingState
from surefit.types import SINGLE_LABEL, LabelSchema

UNREADABLE = Path("/proc/self/mem")  # can be opened, and says "Input/output error" when its first bytes are read
FILES = ("model.safetensors", "optimizer.safetensors", "best.safetensors", "dynamics.safetensors", "state.json")
SCHEMA = LabelSchema(SINGLE_LABEL, ("a", "b"))


class Notes(Progress):
    def __init__(self):
        self.sentences = []

    def note(self, sentence):
        self.sentences.append(sentence)


class Training:
    """A small model on its way, whose every step changes weights, optimizer and state."""

    def __init__(self, directory, width=3):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Embedding(5, width), nn.Linear(width, 2))
        self.flat = FlatParameters(self.model, self.model[0].weight)
        self.optimizer = AdamW(self.flat, weight_decay=0.01)
        self.notes = Notes()
        self.checkpoints = Checkpoints(directory, self.notes)
        self.state = self.begin()

    @staticmethod
    def begin():
        return TrainingState(TrainingDynamics.blank(epochs=2, rows=6))

    def make_step(self):
        words = torch.tensor([0, 1 + self.state.step % 4])
        logits = self.model(words)
        logits.sum().backward()
        epoch, targets = len(self.state.epochs) + 1, np.array([0, 1])
        self.state.dynamics.record(epoch, words.numpy(), logits.detach().numpy(), targets, SCHEMA)
        self.optimizer.step(1e-3, words)
        self.state.count_step(0.1 * (self.state.step + 1), 3.0)

    def end_epoch(self):
        self.state.epochs.append(EpochTrace(1, 1 / 3, 0.1, 0.7, 0.2, observation="learning: well", seconds=0.1))
        self.state.begin_epoch()
        self.state.keep_weights(self.model)

    def save(self):
        return self.checkpoints.save(self.state, self.model, self.optimizer)

    def restore(self):
        self.state = self.checkpoints.restore(self.model, self.optimizer) or self.begin()

    def everything(self):
        held = {f"weight {name}": tensor for name, tensor in self.model.state_dict().items()}
        held |= {f"optimizer {name}": tensor for name, tensor in self.optimizer.tensors().items()}
        held |= {f"best {name}": tensor for name, tensor in self.state.best_weights.items()}
        held |= {f"dynamics {name}": tensor for name, tensor in self.state.dynamics.tensors().items()}
        return {name: tensor.tolist() for name, tensor in held.items()}, json.dumps(self.state.to_dict())


@pytest.fixture
def saved(tmp_path):
    """Two checkpoints, the first at the end of an epoch, and what each holds."""
    training = Training(tmp_path / "checkpoints")
    held = []
    for _ in range(2):
        training.make_step()
        if not held:
            training.end_epoch()
        training.save()
        held.append(training.everything())
    return tmp_path / "checkpoints", held


def resumed(directory):
    training = Training(directory)
    training.restore()
    return training


def test_the_newest_is_restored_to_the_last_bit(saved):
    directory, held = saved
    training = resumed(directory)
    assert training.everything() == held[1]
    assert training.notes.sentences == []


def test_a_restored_training_goes_on_as_if_never_stopped(saved):
    directory, _ = saved
    whole = Training(directory.parent / "other")
    for number in range(4):
        whole.make_step()
        if number == 0:
            whole.end_epoch()
    training = resumed(directory)
    training.make_step()
    training.make_step()
    assert training.everything() == whole.everything()


def test_where_there_is_none_training_starts(tmp_path):
    training = resumed(tmp_path / "checkpoints")
    assert training.everything() == Training(tmp_path / "checkpoints").everything()


def test_before_the_first_epoch_ends_there_are_no_best_weights(tmp_path):
    training = Training(tmp_path)
    training.make_step()
    training.save()
    assert resumed(tmp_path).state.best_weights == {}


@pytest.mark.parametrize("file", ["model.safetensors", "best.safetensors"])
def test_weights_are_saved_by_name_each_by_itself_though_they_lie_in_one_tensor(tmp_path, file):
    training = Training(tmp_path)
    training.make_step()
    training.end_epoch()
    found = load_file(training.save() / file)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: tensor.tolist() for name, tensor in training.model.state_dict().items()
    }
    assert all(tensor.untyped_storage().nbytes() == 4 * tensor.numel() for tensor in training.state.best_weights.values())


def test_restored_weights_lie_where_the_optimizer_moves_them(saved):
    directory, _ = saved
    training = resumed(directory)
    before = training.everything()[0]
    training.flat.values += 1
    after = training.everything()[0]
    moved = {name for name in before if name.startswith("weight ") and before[name] != after[name]}
    assert moved == {"weight 1.weight", "weight 1.bias"}
    assert training.flat.words is training.model[0].weight


def test_best_weights_are_a_copy(tmp_path):
    training = Training(tmp_path)
    training.end_epoch()
    before = training.state.best_weights["1.weight"].tolist()
    training.make_step()
    assert training.state.best_weights["1.weight"].tolist() == before != training.model[1].weight.tolist()


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:-7])


def empty(file):
    file.write_bytes(b"")


def fill_with_garbage(file):
    file.write_bytes(b'{"a": [1, 2')


def remove(file):
    file.unlink()


def replace_by_directory(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "damage", [flip_a_byte, cut, empty, fill_with_garbage, remove, replace_by_directory], ids=lambda damage: damage.__name__
)
def test_a_damaged_newest_is_passed_over_with_a_sentence_and_the_one_before_used(saved, file, damage):
    directory, held = saved
    damage(directory / "step-00000002" / file)
    training = resumed(directory)
    assert training.everything() == held[0]
    (sentence,) = training.notes.sentences
    assert sentence.startswith("passing over a damaged checkpoint: ")
    assert "step-00000002" in sentence
    assert file in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["state"].update(step=1),
        lambda content: content["state"].pop("epochs"),
        lambda content: content.pop("files"),
        lambda content: content.pop("sha256"),
        lambda content: content.clear(),
    ],
    ids=["number", "state", "files", "hash", "all"],
)
def test_a_state_that_is_json_but_not_what_was_written_is_passed_over(saved, change):
    directory, held = saved
    file = directory / "step-00000002" / "state.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    training = resumed(directory)
    assert training.everything() == held[0]
    assert len(training.notes.sentences) == 1


def test_where_all_are_damaged_training_starts_and_says_so(saved):
    directory, _ = saved
    for checkpoint in directory.iterdir():
        flip_a_byte(checkpoint / "model.safetensors")
    training = resumed(directory)
    assert training.everything() == Training(directory).everything()
    *damaged, start = training.notes.sentences
    assert len(damaged) == 2
    assert start == "no checkpoint is whole; training starts from the beginning"


def test_what_is_saved_after_all_were_damaged_outlasts_them(saved):
    directory, held = saved
    for checkpoint in directory.iterdir():
        flip_a_byte(checkpoint / "model.safetensors")
    (directory / "step-00000009").write_text("a file, where checkpoints are directories")
    training = resumed(directory)
    training.make_step()
    training.end_epoch()
    training.save()
    again = resumed(directory)
    assert (again.everything(), again.notes.sentences) == (held[0], [])
    assert [path.name for path in directory.iterdir()] == ["step-00000001"]


def test_a_checkpoint_of_another_model_is_refused(saved):
    directory, _ = saved
    training = Training(directory, width=5)
    with pytest.raises(RunError, match="step-00000002 is of another model"):
        training.restore()


@pytest.mark.skipif(not UNREADABLE.exists(), reason="no file here gives a real read error")
@pytest.mark.parametrize("file", FILES)
def test_one_that_cannot_be_read_ends_the_resume_and_nothing_is_removed(saved, file):
    directory, held = saved
    whole, aside = directory / "step-00000002" / file, directory.parent / file
    whole.rename(aside)
    whole.symlink_to(UNREADABLE)
    before = sorted(directory.rglob("*"))
    with pytest.raises(RunError, match=r"step-00000002 cannot be read \(Input/output error\); .* resume again once it can"):
        resumed(directory)
    assert sorted(directory.rglob("*")) == before
    aside.replace(whole)
    assert resumed(directory).everything() == held[1]


def test_checkpoints_that_cannot_be_listed_end_the_resume(saved):
    directory, _ = saved
    directory.rename(directory.parent / "aside")
    directory.symlink_to(directory)
    with pytest.raises(RunError, match=r"checkpoints cannot be read \(.+\); .* resume again once it can"):
        resumed(directory)


def test_a_whole_one_of_another_version_is_refused_and_not_taken_for_damage(saved):
    directory, _ = saved
    file = directory / "step-00000002" / "state.json"
    content = json.loads(file.read_text()) | {"schema_version": 2}
    content.pop("sha256")
    content["sha256"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    file.write_text(json.dumps(content))
    with pytest.raises(RunError, match="step-00000002 is of another version of SureFit; resume with that one"):
        resumed(directory)


def test_one_from_before_training_dynamics_were_kept_is_refused(saved):
    directory, _ = saved
    (directory / "step-00000002" / "dynamics.safetensors").unlink()
    file = directory / "step-00000002" / "state.json"
    content = json.loads(file.read_text())
    del content["files"]["dynamics.safetensors"], content["sha256"]
    content["sha256"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    file.write_text(json.dumps(content))
    with pytest.raises(RunError, match="step-00000002 is of another version of SureFit; resume with that one"):
        resumed(directory)


def test_steps_made_after_a_resume_leave_the_checkpoint_that_was_loaded_as_it_was(saved):
    directory, held = saved
    training = resumed(directory)
    training.make_step()
    assert training.everything() != held[1]
    assert resumed(directory).everything() == held[1]


def test_a_finished_run_keeps_the_newest_alone(saved):
    directory, held = saved
    (directory / "step-00000002.abcd.tmp").mkdir()
    Training(directory).checkpoints.keep_newest()
    assert [path.name for path in directory.iterdir()] == ["step-00000002"]
    assert resumed(directory).everything() == held[1]


def test_two_are_kept_and_what_a_kill_left_behind_is_removed(tmp_path):
    training = Training(tmp_path)
    (tmp_path / "step-00000001.abcd.tmp").mkdir()
    for _ in range(4):
        training.make_step()
        training.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


def test_an_unfinished_checkpoint_is_not_found(saved):
    directory, held = saved
    (directory / "step-00000002").rename(directory / "step-00000002.abcd.tmp")
    assert resumed(directory).everything() == held[0]


def test_the_same_step_is_saved_anew_even_where_it_was_damaged(saved):
    directory, held = saved
    flip_a_byte(directory / "step-00000002" / "model.safetensors")
    training = resumed(directory)
    training.make_step()
    training.save()
    again = resumed(directory)
    assert (again.everything(), again.notes.sentences) == (held[1], [])
    assert sorted(path.name for path in directory.iterdir()) == ["step-00000001", "step-00000002"]


@pytest.mark.parametrize("trial", range(100))
def test_of_a_hundred_damaged_checkpoints_none_is_loaded(saved, trial):
    """One flipped bit, a cut file or a missing one, anywhere in the newest checkpoint."""
    directory, held = saved
    chance = random.Random(trial)
    newest = max(directory.iterdir())
    file = newest / chance.choice(FILES)
    content = bytearray(file.read_bytes())
    kind = ("flipped bit", "cut", "missing")[trial % 3]
    if kind == "flipped bit":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
    elif kind == "cut":
        file.write_bytes(content[: chance.randrange(len(content))])
    else:
        file.unlink()
    training = resumed(directory)
    assert training.everything() == held[0]
    (sentence,) = training.notes.sentences
    assert sentence.startswith("passing over a damaged checkpoint: ")
    assert newest.name in sentence

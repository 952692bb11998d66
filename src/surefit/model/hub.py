"""Checkpoints from the Hugging Face hub: the few files that are needed, through its own cache."""

from __future__ import annotations

from pathlib import Path

from surefit.errors import ModelError
from surefit.model.checkpoints import CONFIG, WEIGHTS, WEIGHTS_INDEX, shard_names

_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json")
_VOCABULARY_FILES = ("vocab.txt", "vocab.json", "merges.txt", "added_tokens.json")


def download(name: str) -> Path:
    """Brings a checkpoint's configuration, safetensors weights and tokenizer into the hub's cache.

    HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME and the login are honoured. Where the hub cannot be
    reached, what is in the cache is taken.

    Args:
        name: "model" or "organisation/model", with "@version" where a branch, tag or commit other
            than "main" is wanted.

    Returns:
        the directory of the files; its name is the commit.

    Raises:
        ModelError: there is no such model, it is not accessible, or the hub cannot be reached.
    """
    name, _, revision = name.partition("@")
    revision = revision or "main"
    checkpoint = _HubCheckpoint(name, revision, offline=not _is_reachable(name, revision))
    config = checkpoint.require(CONFIG)
    directory = config.parent
    # From here on the commit is named, so that all files are of one version.
    checkpoint = _HubCheckpoint(name, directory.name, checkpoint.offline)
    if not checkpoint.fetch(WEIGHTS) and (index := checkpoint.fetch(WEIGHTS_INDEX)):
        for shard in shard_names(index):
            checkpoint.require(shard)
    found = [file for file in _TOKENIZER_FILES if checkpoint.fetch(file)]
    if "tokenizer.json" not in found:
        for file in _VOCABULARY_FILES:
            checkpoint.fetch(file)
    return directory


class _HubCheckpoint:
    """One version of a model on the hub."""

    def __init__(self, name: str, revision: str, offline: bool) -> None:
        self.name = name
        self.revision = revision
        self.offline = offline

    def fetch(self, file: str) -> Path | None:
        """The file in the cache, downloaded if need be; None where the checkpoint has no such file."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            return Path(hf_hub_download(self.name, file, revision=self.revision, local_files_only=self.offline))
        except LocalEntryNotFoundError:
            if self.offline:
                return None
            raise ModelError(f"the download of {file} of {self.name!r} from the hub broke off; try again") from None
        except EntryNotFoundError:
            return None
        except Exception as error:  # the HTTP library beneath differs between versions of huggingface_hub
            raise ModelError(
                f"{file} of {self.name!r} cannot be downloaded from the hub ({type(error).__name__}); try again"
            ) from None

    def require(self, file: str) -> Path:
        """The file in the cache.

        Raises:
            ModelError: there is none.
        """
        path = self.fetch(file)
        if path is None and self.offline:
            raise ModelError(
                f"there is no directory {self.name!r}, and the Hugging Face hub cannot be reached (its cache has no {file} of "
                "a model of that name); check the name and the network, or give a directory"
            )
        if path is None:
            raise ModelError(f"the model {self.name!r} on the hub has no {file}")
        return path


def _is_reachable(name: str, revision: str) -> bool:
    """Asks the hub for a model once, without the minutes of retries that a download would make.

    Raises:
        ModelError: the hub answers that there is no such model or that it may not be read.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        get_hf_file_metadata(hf_hub_url(name, CONFIG, revision=revision))
    except HFValidationError:
        raise ModelError(f"{name!r} is neither a directory nor a name that the Hugging Face hub allows") from None
    except GatedRepoError:
        raise ModelError(
            f"the model {name!r} is gated: accept its terms on its page on the hub, then log in with `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"there is no directory {name!r} and no model of that name on the hub; check the name "
            "(a private model needs `hf auth login`)"
        ) from None
    except RevisionNotFoundError:
        raise ModelError(f"the model {name!r} on the hub has no version {revision!r}; leave it out for the newest") from None
    except EntryNotFoundError:
        raise ModelError(f"the model {name!r} on the hub has no config.json") from None
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise ModelError(f"the hub refuses access to {name!r}; log in with `hf auth login`") from None
        return False
    except Exception:  # offline mode, no network, no such host: the HTTP library beneath differs between versions
        return False
    return True

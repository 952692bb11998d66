"""Tiny random checkpoints and their tokenizers, in the files that real ones have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from surefit.model.configuration import BertConfig
from surefit.model.encoder import BertEncoder

WORDS = """
the a an and or but not no yes i you he she it we they this that these those is are was were be been have has had do does did
will would can could should must may might of in on at by for with from to into over under after before again very too so as
than then when where who what why how all any some many much more most few less least one two three four five first last next
good bad great poor nice awful fine terrible best worst happy sad angry calm fast slow new old big small long short high low
hot cold early late right wrong easy hard true false open closed full empty film movie story plot actor scene music book page
word text letter card bank account money payment transfer refund price cost fee charge order delivery package shop store phone
call message mail ticket help service team game player goal win lose play watch read write send get give take make see know
think feel like love hate want need use work wait come go stop start day night week month year time home city world people
child man woman friend water food coffee tea house car train road
""".split()  # noqa: SIM905
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [letter for plain in "abcdefghijklmnopqrstuvwxyz0123456789" for letter in (plain, f"##{plain}")]
SIGNS = list(".,!?'\"-:;()[]/")


def bert_tokenizer() -> tokenizers.Tokenizer:
    """A WordPiece tokenizer like that of bert-base-uncased, of real words and single letters."""
    vocabulary = [*SPECIAL, *dict.fromkeys(WORDS + LETTERS + SIGNS)]
    tokenizer = tokenizers.Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = _cls_sep(tokenizer, "[CLS]", "[SEP]", second_type=1)
    return tokenizer


def mpnet_tokenizer() -> tokenizers.Tokenizer:
    """A WordPiece tokenizer with the special tokens of MPNet and two separators between a pair."""
    vocabulary = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *dict.fromkeys(WORDS + LETTERS + SIGNS)]
    tokenizer = tokenizers.Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    mask = tokenizers.AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "[UNK]", mask])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def roberta_tokenizer() -> tokenizers.Tokenizer:
    """A byte-level BPE tokenizer like RoBERTa's, trained on the words."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    mask = tokenizers.AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", mask]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def write_tokenizer(directory: Path, tokenizer: tokenizers.Tokenizer) -> None:
    """Writes `tokenizer.json` with the padding and truncation that real checkpoints carry."""
    tokenizer.enable_padding(length=16)
    tokenizer.enable_truncation(16)
    tokenizer.save(str(directory / "tokenizer.json"))


def write_tiny_bert(directory: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Writes a random BERT of two layers of width 32 with its tokenizer."""
    tokenizer = bert_tokenizer()
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
    } | changes
    directory.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = BertEncoder(BertConfig.from_dict(config))
    with torch.no_grad():  # larger than torch draws them, so that a text's words show in its first token
        for name, parameter in encoder.named_parameters():
            parameter *= 2 if parameter.ndim == 2 and "embeddings" not in name else 1
    save_file(encoder.state_dict(), directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_tokenizer(directory, tokenizer)
    return directory


STOCK_FAMILIES = ("distilbert", "roberta", "mpnet", "electra", "deberta-v2", "albert")


def write_tiny_stock(directory: Path, family: str, *, seed: int = 0) -> Path:
    """Writes a random encoder of another family than BERT, as Hugging Face's own classes save it."""
    from transformers import AutoConfig, AutoModel

    tokenizer = {"roberta": roberta_tokenizer, "mpnet": mpnet_tokenizer}.get(family, bert_tokenizer)()
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    if family == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    pad = tokenizer.token_to_id("<pad>" if family in ("roberta", "mpnet") else "[PAD]")
    common = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 128, "pad_token_id": pad}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        extra = {"embedding_size": 16} if family in ("electra", "albert") else {}
        if family == "roberta":
            extra = {"type_vocab_size": 1}
        AutoModel.from_config(AutoConfig.for_model(family, **common, **sizes, **extra)).save_pretrained(directory)
    write_tokenizer(directory, tokenizer)
    return directory


def _cls_sep(tokenizer: tokenizers.Tokenizer, cls: str, sep: str, second_type: int) -> processors.PostProcessor:
    return processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:{second_type} {sep}:{second_type}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )

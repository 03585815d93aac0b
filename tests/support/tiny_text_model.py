"""A tiny random BERT classifier on disk, so that tests of training, export and serving need no real weights.

It predicts nothing sensible, but its answers depend on every word and its logits differ by about two between texts, so
that explanations of it are not flat.
"""

import random
import string
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

MAX_POSITIONS = 128
HIDDEN_SIZE = 32
LOGIT_STANDARD_DEVIATION = 2.0  # between texts, of each logit

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
COMMON_WORDS = """
a able about above across after again all almost along also although always am an and another any are around as at
away back bad bag be because been before being below best better between big bitter black bland body book both bottle
bought box bread bring brown but buy by cake call came can candy car cat cheap cheese child chocolate city clean clear
close coffee cold color come cook cookie cool could country cream cup dark day deal did different dinner dish do does
dog done door down dream dried drink drop dry each early easy eat egg end enjoy enough even ever every eye face fact
fair family fantastic far fast fat favorite feel few find fine first fish flat flavor food for found free fresh friend
from fruit full gave get gift give glad go gone good got grade great green ground had half hand happy hard has hate
have he head healthy help her here high him his home honey horrible hot house how i ice if in into is it item its job
juice just keep kept kid kind kitchen knew know large last late least left less let life light like line little long
look lost lot love low made mail make man many market may me meal mean meat milk mine mix money month more morning
most much must my name near need never new next nice night no none nor not nothing now nut of off often oil old on
once one only open or order organic other our out over own pack package part pay people perfect piece place plain
plastic please plus poor pot price product quality quick quite ran rather real really recommend red return rice rich
right room salt same sauce save say sea see seem sell send service set shall she shipping shop short should side
simple since size small smell snack so soft some soon sour spice stale start still stop store strong such sugar sure
sweet table take taste tea tell than thank that the their them then there these they thick thin thing think this those
though three through time to together too took top treat tried true try turn two under until up upon us use used value
very want warm was wash waste water way we week well went were what when where which while white who why will wish
with without wonderful word work worse worst would wrong year yet you young your
"""
WORDS = tuple(COMMON_WORDS.split())


def write_tiny_text_model(
    directory: Path, *, labels: Sequence[str] = ("other", "great"), seed: int = 0, hidden_size: int = HIDDEN_SIZE
) -> None:
    """Writes a Hugging Face directory: config.json, model.safetensors and the tokenizer's files.

    BERT with 2 layers, 128 positions and token types. The vocabulary has common English words, and
    every ASCII character as a piece, so that any ASCII text becomes tokens without [UNK]. The same seed writes the
    same weights.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForSequenceClassification(_config(labels, vocabulary_size=len(tokenizer), hidden_size=hidden_size))
    model.train(False)
    spread_logits(model, tokenizer, seed)
    tokenizer.save_pretrained(directory)
    model.save_pretrained(directory)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny model's tokenizer: lower case, WordPiece, [CLS] ... [SEP] around a text or a pair."""
    characters = sorted(set(string.ascii_lowercase + string.digits + string.punctuation))
    pieces = [*SPECIAL_TOKENS, *dict.fromkeys([*characters, *WORDS]), *(f"##{character}" for character in characters)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=MAX_POSITIONS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _config(labels: Sequence[str], *, vocabulary_size: int, hidden_size: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=MAX_POSITIONS,
        type_vocab_size=2,
        pad_token_id=0,
        # BERT's own 0.02 makes a random model that hardly reads its words.
        initializer_range=0.3 * (HIDDEN_SIZE / hidden_size) ** 0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )


@torch.no_grad()
def spread_logits(model: BertForSequenceClassification, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
    """Rescales the last layer so that each logit has mean 0 and the wanted spread over random texts."""
    stream = random.Random(seed)
    texts = [" ".join(stream.choices(WORDS, k=stream.randint(3, 30))) for _ in range(64)]
    logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    scale = LOGIT_STANDARD_DEVIATION / logits.std(dim=0)
    model.classifier.weight.mul_(scale[:, None])
    model.classifier.bias.copy_((model.classifier.bias - logits.mean(dim=0)) * scale)

"""Small tokenizers of the kinds that models have, learnt from texts of many scripts, and such texts."""

from collections.abc import Callable, Mapping
from functools import cache

from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = {
    "Latin": "Open 24/7, cheap/small & the U.S.A.'s best tea... don't miss it (really)!",
    "Latin with signs": "col·lecció d'AT&T: 10/10 per a l'NFC\u00adlector, 3.50€ – naïve façade",
    "NFD": "cafe\u0301 nai\u0308ve A\u030angstro\u0308m e\u0323\u0302 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "Greek": "Ἡ γλῶσσα· ἀρχὴ τῆς σοφίας, ὦ φίλε;",
    "Cyrillic": "Чай был очень хороший, но из-за коробки — «нет»!",
    "Arabic": "الشاي جيد جدًّا، وَالصُّنْدُوقُ مَكْسُورٌ؟ می\u200cخواهم ٣٫١٤",
    "Hebrew": 'צה״ל וצה"ל, בית־ספר; שָׁלוֹם ג׳ירף',
    "Devanagari": "हिन्दी में क्षत्रिय बहुत अच्छी है। स्त्री",
    "Thai": "ชานี้อร่อยมากแต่กล่องไม่ดี ฉันไม่ชอบ น้ำ",
    "Khmer": "តែ\u200bនេះ\u200bឆ្ងាញ់ណាស់។ ស្ត្រីខ្មែរ",
    "Lao": "ຊານີ້ແຊບຫຼາຍ ນ້ຳ",
    "Burmese": "ဒီလက်ဖက်ရည်ကောင်းတယ်။ မြန်မာ",
    "Chinese": "味道很好，但是盒子坏了。我不喜欢！24小时",
    "Japanese": "ラーメンはとても美味しい。ｶﾞｷﾞ・ﾃﾚﾋﾞ、サービスも！",
    "Korean": "차는 맛있지만 상자가 나빴어요. 大통령",
    "emoji": "Tea❤️❤️ tastes awful 👍🏽👨‍👩‍👧 ok1️⃣#️⃣ 🇩🇪🇫🇷🏴󠁧󠁢󠁥󠁮󠁧󠁿it❤️!",
    "odd": "a \u0308b \u200d\u0301\r\n\x1c\u200bx\u2028y\ufeff\u0600١٢ \U000e0001 \ufffd",
}
"""A text of each script, with what is hard about it."""

_CORPUS = [*TEXTS.values(), *" ".join(TEXTS.values()).split()]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def texts() -> st.SearchStrategy[str]:
    """Pieces of the texts above, cut anywhere, in any order, with and without spaces between."""
    alphabet = sorted(set("".join(TEXTS.values())))
    pieces = st.one_of(
        st.sampled_from(" ".join(TEXTS.values()).split(" ")),
        st.text(alphabet, max_size=4),
        st.text(max_size=3),
        st.sampled_from([" ", "  ", "\n", ". ", ",", "/"]),
    )
    return st.lists(pieces, max_size=12).map("".join).map(lambda text: text.replace("\0", ""))


def _wordpiece(pre_tokenizer: pre_tokenizers.PreTokenizer) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizer
    # Not every character is in the alphabet: some become [UNK], whole words with them.
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.WordPieceTrainer(vocab_size=420, limit_alphabet=200, special_tokens=_SPECIAL, show_progress=False),
    )
    return tokenizer


def _byte_level(*, trim_offsets: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=_SPECIAL, show_progress=False),
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _unigram(*, split: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=split)
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.UnigramTrainer(vocab_size=500, special_tokens=_SPECIAL, unk_token="[UNK]", show_progress=False),
    )
    return tokenizer


def _byte_fallback() -> Tokenizer:
    pieces = {name: index for index, name in enumerate([*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))])}
    pieces |= {character: index for index, character in enumerate("▁abcdeinotTx", start=len(pieces))}
    tokenizer = Tokenizer(models.BPE(pieces, [], unk_token="[UNK]", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer


def _characters() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.train_from_iterator(
        _CORPUS, trainers.WordLevelTrainer(vocab_size=150, special_tokens=_SPECIAL, show_progress=False)
    )
    return tokenizer


def _dropping() -> Tokenizer:
    """One that passes over what it does not know."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(_CORPUS, trainers.BpeTrainer(vocab_size=200, limit_alphabet=40, show_progress=False))
    return tokenizer


_MAKERS: Mapping[str, Callable[[], Tokenizer]] = {
    "word-piece": lambda: _wordpiece(pre_tokenizers.BertPreTokenizer()),
    "word-piece of runs": lambda: _wordpiece(pre_tokenizers.WhitespaceSplit()),
    "byte-level": lambda: _byte_level(trim_offsets=True),
    "byte-level with spaces": lambda: _byte_level(trim_offsets=False),
    "unigram": lambda: _unigram(split=True),
    "unigram across spaces": lambda: _unigram(split=False),
    "byte fallback": _byte_fallback,
    "characters": _characters,
    "dropping": _dropping,
}
TOKENIZERS = tuple(_MAKERS)
"""Names for `tokenizer`."""


@cache
def tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name, as a bundle has it: with [CLS] and [SEP] around a text or a pair."""
    made = _MAKERS[name]()
    made.add_special_tokens(_SPECIAL)
    ids = [(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    template = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ids)
    made.post_processor = (
        template if made.post_processor is None else processors.Sequence([made.post_processor, template])
    )
    return made

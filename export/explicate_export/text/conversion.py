"""Models of texts and of pairs: tokenizer, golden texts, and whether tokens may be left out."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_bundle.players.words import words
from explicate_bundle.writing import EXPLAINER_NAME, GRADIENT_NAME, TOKENIZER_NAME
from explicate_export.conversion import AnswerRows, CardText, ModelExport, Say
from explicate_export.described import DescribedModel, HeldOut, HeldOutInput
from explicate_export.errors import UsageError
from explicate_export.golden_inputs import Compared, GoldenChoice, spread_evenly
from explicate_export.objectives import InputWords
from explicate_export.onnx_graph import TorchGraph
from explicate_export.parity import MAX_DIFFERENCE, Scale
from explicate_export.text import model as text_model
from explicate_export.text.gradient import GradientGraph, write_gradient
from explicate_export.text.preview import Preview, write_preview
from explicate_export.training_run import UNFINISHED, FinishedRun, check_files, read_held_out
from explicate_server.modalities.encoded_text import EncodedText
from explicate_server.modalities.modality import EncodedInput, Modality
from explicate_server.modalities.text import TextModality

GOLDEN_TEXTS = 32
# Four times 8 · 12 short rows: about 0.3 s of every load with MiniLM-L6 on two cores.
EXCERPTS = 4
EXCERPT_WORDS = 12
EVALUATIONS_PER_PLAYER = 8
# bf16 keeps 8 bits: MiniLM-L6's logits are off by 0.02 at most. int8 is off by 0.2 to 0.5.
GOLDEN_REDUCED_TOLERANCE = 0.05
_MOST_LETTERS = 400_000  # that scripts are told by
_LEAST_SHARE = 0.001
_MOST_SCRIPTS = 6
_ANY_SIZE = 2**63 - 1  # bytes; what training read is not refused here


class TextExport(ModelExport):
    """A model of texts or of pairs in torch, with the tokenizer that a server reads texts by."""

    reduced_tolerance = GOLDEN_REDUCED_TOLERANCE
    schema: bundle_pb2.TextSchema

    def __init__(
        self,
        described: DescribedModel,
        held_out: Sequence[HeldOut],
        model: text_model.TextModel,
        *,
        tokenizer_json: str,
    ) -> None:
        """With texts that it was not trained on; `tokenizer_json` is that of the tokenizers library."""
        self.described = described
        self.words = _words(pairs=described.record.text.pairs, measured=bool(described.test_metrics))
        self.held_out = held_out
        self._held_out_texts = _texts([one.value for one in held_out])
        self._trained = model
        self._tokenizer_json = tokenizer_json
        self.architecture = model.architecture
        self._excerpts: list[TextInput] = []
        self._preview: Preview | None = None
        self._has_gradient = False
        self._gradient: GradientGraph | None = None
        self._dropping: float | None = None  # what leaving tokens out was off by, None when not measured

    def add_gradient(self) -> None:
        """Torch made the model, so torch has its gradient."""
        self._has_gradient = True

    def choose(self, count: int) -> list[HeldOut]:
        """Spread evenly over their lengths in characters, in file order, none twice."""
        by_length = np.argsort([value.encoding_cost for value in self._held_out_texts], kind="stable")
        chosen = sorted(spread_evenly(by_length.tolist(), count))
        return list({self._held_out_texts[index]: self.held_out[index] for index in chosen}.values())

    def prepare(self, folder: Path, values: Sequence[ModelInput]) -> Modality:
        """Writes tokenizer.json."""
        (sample, *_) = _texts(values)
        self.schema = text_model.text_schema(self._trained, sample.texts)
        self._excerpts = choose_excerpts(_texts(values))
        (folder / TOKENIZER_NAME).write_text(self._tokenizer_json, encoding="utf-8")
        self._preview = self.write_preview(folder / EXPLAINER_NAME)
        self.schema.preview_explainer = self._preview is not None
        if self._has_gradient:
            objective = self.described.kind.predicts.name
            self._gradient = write_gradient(self._trained, self.schema, objective, folder / GRADIENT_NAME)
            self.schema.gradient = True
        return TextModality(self.schema, self._tokenizer_json, max_text_bytes=_ANY_SIZE)

    def write_preview(self, path: Path) -> Preview | None:  # noqa: ARG002 - most models have none
        """Writes explainer.onnx, where there is a network that guesses attributions."""
        return None

    def edge_cases(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> list[ModelInput]:  # noqa: ARG002
        """The excerpts, which are attributed and so are golden; some may be whole texts."""
        return [excerpt for excerpt in self._excerpts if excerpt not in values]

    def graph_source(self, output_name: str) -> TorchGraph:
        """The model with its own position ids, int64 [batch, length] each."""
        return text_model.graph_source(self._trained, self.schema, output_name)

    def reference(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> NDArray[np.float32]:
        """By the tokenizer of the original; raises ParityError if the bundle's own tokenises otherwise."""
        texts = [value.texts for value in _texts(values)]
        ids = self.schema.inputs[:].index("input_ids")
        origin, expected = self.described.origin, self._trained.token_ids(texts)
        found = [one.row.values[ids] for one in encoded]
        text_model.check_token_ids(found, expected, of=origin.inputs, by=origin.encoder)
        return self._trained.outputs(texts)

    def measure(self, answer: AnswerRows, compared: Compared, scale: Scale, say: Say) -> None:
        """Whether leaving tokens out equals masking them, for explanations to be cheaper by."""
        attention = self.schema.inputs[:].index("attention_mask")
        encoded = [one for one in compared.encoded if isinstance(one, EncodedText)]
        measured = self.dropping(answer, encoded, attention)
        self._dropping = None if measured is None else measured / scale.unit
        self.schema.token_dropping = self._dropping is not None and self._dropping <= MAX_DIFFERENCE
        say(self._say_dropping(scale))
        if self._preview is not None:
            ids = [one.row.values[self.schema.inputs[:].index("input_ids")] for one in encoded]
            say(f"explainer.onnx: largest difference {self._preview.check(ids):.1e} from torch's guesses")
        if self._gradient is not None:
            rows = [one.row.values for one in encoded]
            off = self._gradient.check(rows, list(self.schema.inputs), self.schema.mask_id)
            say(f"gradient.onnx: largest difference {off:.1e} from torch, as a part of a text's largest gradient")

    def dropping(self, answer: AnswerRows, encoded: Sequence[EncodedText], attention: int) -> float | None:
        """What leaving tokens out is off by; None where it is not measured."""
        return text_model.measure_token_dropping(answer, encoded, attention=attention)

    @property
    def not_measured(self) -> str:
        """Why that was not measured."""
        if "position_ids" not in self.schema.inputs:
            return "the model takes no positions that tokens could keep"
        return f"no {self.described.origin.inputs} text has two words"

    def _say_dropping(self, scale: Scale) -> str:
        if self._dropping is None:
            return f"token dropping: not measured, {self.not_measured}; a server will mask in place"
        verdict = "equals" if self.schema.token_dropping else "does not equal"
        return (
            f"token dropping: leaving tokens out {verdict} masking them "
            f"(largest difference {self._dropping:.1e} {scale.words})"
        )

    def choose_golden(self, compared: Compared) -> GoldenChoice:
        """Spread evenly over the lengths in tokens, and the excerpts."""
        excerpts = [compared.values.index(excerpt) for excerpt in self._excerpts]
        chosen = choose_golden([one.row.length for one in compared.encoded], always=excerpts)
        return GoldenChoice(chosen, excerpts, EVALUATIONS_PER_PLAYER)

    def card(self, scale: Scale) -> CardText:
        """How much of a text is read, and how words are removed."""
        removal = "leaving its tokens out" if self.schema.token_dropping else "masking its tokens in place"
        measured = f"not measured, {self.not_measured}"
        if self._dropping is not None:
            measured = f"largest difference {self._dropping:.1e} {scale.words}"
        return CardText(
            words=self.words,
            inputs="pairs of texts" if self.schema.pairs else "texts",
            origin=f"{self.described.made} {_reading(self.schema)}",
            absence="With attention masking, a word is removed by "
            f"{removal} (leaving out against masking: {measured}).",
            tested=tuple(seen_texts(self._held_out_texts, self.schema.max_tokens)),
        )


class TrainedTextExport(TextExport):
    """A model of a run of ours; its model directory is a Hugging Face one."""

    def __init__(self, run: FinishedRun, say: Say) -> None:
        """Reads the held-out texts and loads the model; raises UsageError if something does not fit run.json."""
        check_files(run.model_directory, ("config.json", "model.safetensors", TOKENIZER_NAME))
        held_out = held_out_texts(run)
        say(f"loading {run.model_directory}")
        model = text_model.load(run)
        tokenizer_json = text_model.plain_tokenizer_json(run.model_directory / TOKENIZER_NAME)
        super().__init__(run, held_out, model, tokenizer_json=tokenizer_json)
        self._run = run

    def write_preview(self, path: Path) -> Preview | None:
        """What training left."""
        return write_preview(self._run, path)


def held_out_texts(run: FinishedRun) -> list[HeldOut]:
    """The test split's texts or pairs."""
    names = ("text", "text_pair") if run.record.text.pairs else ("text",)

    def read(line: Mapping[str, Any]) -> TextInput | None:
        texts = []
        for name in names:
            if not isinstance(line.get(name), str):
                raise UsageError(f'not an object with a "{name}": {UNFINISHED}')
            texts.append(line[name])
        # A lone surrogate has no UTF-8 form; a server refuses such texts, so there is nothing to compare.
        usable = all(text.strip() and not any("\ud800" <= c <= "\udfff" for c in text) for text in texts)
        return TextInput(*texts) if usable else None

    return read_held_out(run, read)


def choose_golden(lengths: Sequence[int], count: int = GOLDEN_TEXTS, *, always: Sequence[int] = ()) -> list[int]:
    """Indices of texts spread evenly over the lengths (in tokens), the shortest and the longest among them, and of
    those that are always taken.
    """
    by_length = np.argsort(np.array(lengths), kind="stable")
    return list(dict.fromkeys([*spread_evenly(by_length.tolist(), count), *always]))


def choose_excerpts(values: Sequence[TextInput]) -> list[TextInput]:
    """The first words of a few texts of middle length and more; little enough for a server to attribute at load."""
    by_length = sorted(values, key=lambda value: value.encoding_cost)
    places = np.linspace(len(values) // 2, len(values) - 1, EXCERPTS).round().astype(int)
    return list(dict.fromkeys(_excerpts(by_length[place]) for place in places))


def _excerpts(value: TextInput) -> TextInput:
    return TextInput(*(_excerpt(text, EXCERPT_WORDS // len(value.texts)) for text in value.texts))


def _excerpt(text: str, count: int) -> str:
    spans = words(text)
    return text[: spans[count - 1][1]] if len(spans) > count else text


def _texts(values: Sequence[HeldOutInput]) -> list[TextInput]:
    return [value for value in values if isinstance(value, TextInput)]


def _words(*, pairs: bool, measured: bool) -> InputWords:
    what = "a pair of texts" if pairs else "a text"
    return InputWords(
        one="text",
        many="texts",
        source=what,
        judged=f"of {what}",
        classifier="A classifier of pairs of texts" if pairs else "A text classifier",
        alike="same language, topic and length",
        of_no_class="for texts that belong to none",
        of_no_value="for texts where there is none to tell",
        measured=measured,
    )


def _reading(schema: bundle_pb2.TextSchema) -> str:
    if schema.pairs:
        return (
            f"It reads at most {schema.max_tokens} tokens of both texts together: where they are longer, the longer "
            "one is cut first, then both alike, and answers say so."
        )
    return f"It reads at most {schema.max_tokens} tokens of a text: what comes after is not seen, and answers say so."


def seen_texts(texts: Sequence[TextInput], max_tokens: int) -> Iterator[str]:
    """What the test texts are like, in sentences without markup."""
    lengths = sorted(sum(len(text.split()) for text in one.texts) for one in texts)
    if not lengths:
        return
    yield (
        f"The {len(lengths):,} test texts have {lengths[0]:,} to {lengths[-1]:,} words, half of them at most "
        f"{lengths[len(lengths) // 2]:,}. Of longer ones nothing is known, and what is beyond {max_tokens:,} tokens is "
        "not read."
    )
    if scripts := scripts_of(texts):
        told = ", ".join(f"{name} {share:.1%}" for name, share in scripts[:_MOST_SCRIPTS])
        yield (
            f"The scripts of their letters are {told}. Which languages they are in was not looked at; it was not "
            "tested on texts in other scripts."
        )


def scripts_of(texts: Sequence[TextInput]) -> list[tuple[str, float]]:
    """Scripts by their share of the letters, the most frequent first; those of less than .1 % are left out.

    By the first word of a letter's name in Unicode, such as "LATIN" of "LATIN SMALL LETTER A".
    """
    letters: Counter[str] = Counter()
    for one in texts:
        letters.update(letter for text in one.texts for letter in text if letter.isalpha())
        if letters.total() > _MOST_LETTERS:
            break
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        name = unicodedata.name(letter, "unnamed").split()[0].split("-")[0]
        scripts[{"CJK": "Chinese"}.get(name, name.capitalize())] += count
    whole = scripts.total()
    return [(name, count / whole) for name, count in scripts.most_common() if count / whole >= _LEAST_SHARE]

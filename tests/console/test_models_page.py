"""The page Models: what the list and a model's page tell, and changes: asked for, confirmed, refused, noticed."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import explicate
from explicate.v1 import bundle_pb2
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from support.browser import Visit, screenshot
from support.bundle_edits import edit_manifest
from support.console import console_process
from support.harness import server_process
from support.hostile_models import EMOJI, LONG, MARKUP, RIGHT_TO_LEFT
from support.judged_bundles import GOOD, WORSE, publish_version, record, rows_file, seal, standard_file
from support.versions import break_golden, copy_with_constant_version, publish_copy

REQUIREMENT = '{ id = "accuracy", metric = "accuracy", at_least = 0.8 },'
CARD = f"# A card\n\n**Strong**, `code`, [away](javascript:alert(1)) and {MARKUP}\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n"
RIGHTS = {
    "reader": {Right.PREDICT},
    "ops": {Right.ADMIN},
    "lead": {Right.ADMIN, Right.OVERRIDE_STANDARD},
}
SECRETS = {name: new_token() for name in RIGHTS}
REFUSED = "error: Failed to load resource: the server responded with a status of"  # the browser's own words


@dataclass(frozen=True)
class Stage:
    """A server that a test may change, and a console before it."""

    server: str
    url: str


@contextmanager
def stage(repository: Path, state: Path, *flags: str) -> Iterator[Stage]:
    with ExitStack() as held:
        state.mkdir(exist_ok=True)
        flags = ("--threads", "1", "--state-dir", str(state), *flags)
        _, server = held.enter_context(server_process(repository, *flags))
        yield Stage(server, held.enter_context(console_process(server)))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_repository: Path) -> Iterator[Stage]:
    """The model tiny: versions 1 and 2 answer, version 3 is broken."""
    folder = tmp_path_factory.mktemp("versions")
    repository = copy_with_constant_version(tiny_repository, folder / "repository")
    break_golden(publish_copy(repository, 3))
    with stage(repository, folder / "state") as made:
        yield made


@pytest.fixture
def versions(shared: Stage) -> Stage:
    """The same, with version 2 live, version 1 before it, and no other label."""
    with explicate.Client(shared.server) as client:
        for label in client.get_model("tiny").labels:
            if label.label != "live":
                client.remove_label("tiny", label.label)
        client.activate_version("tiny", 1)
        client.activate_version("tiny", 2)
    return shared


@pytest.fixture(scope="module")
def judged_stage(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server of judged versions that nobody changes."""
    with stage(judged / "repository", tmp_path_factory.mktemp("judged") / "state") as made:
        with explicate.Client(made.server) as client:
            client.load_model("table", version=1)
        yield made


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with standard.toml, and a repository whose version 1 of table meets it and version 2 does not."""
    folder = tmp_path_factory.mktemp("judged")
    rows, standard = rows_file(folder / "rows.jsonl"), standard_file(folder / "standard.toml", REQUIREMENT)
    for version, weights in enumerate((GOOD, WORSE), start=1):
        bundle = publish_version(folder / "repository", weights, version)
        manifest = record(bundle, standard, rows)
        manifest.metrics["accuracy"] = 0.9
        manifest.metric_intervals["accuracy"].CopyFrom(bundle_pb2.Interval(lower=0.85, upper=0.93))
        manifest.interpretability.CopyFrom(measured())
        (bundle / "MODEL_CARD.md").write_text(CARD, encoding="utf-8")
        seal(bundle, manifest)
    return folder


def measured() -> bundle_pb2.Interpretability:
    """A curve, a metric with its plots, and one that could not be measured."""
    told = bundle_pb2.Interpretability(
        inputs=20, confidence=0.95, evaluator_version="1", runtime="onnxruntime-cpu fp32"
    )
    curve = told.metrics.add(id="masked_accuracy", title="Accuracy with parts removed", sentence="It is right.")
    for name, value in (("none_removed", 0.9), ("removed_10", 0.8), ("removed_90", 0.5)):
        ends = bundle_pb2.Interval(lower=value - 0.1, upper=value + 0.05)
        curve.figures.add(name=f"masked_accuracy.{name}", value=value, interval=ends, inputs=20)
    removal = told.metrics.add(id="comprehensiveness", title="Comprehensiveness", sentence="The answer falls.")
    ends = bundle_pb2.Interval(lower=0.1, upper=0.3)
    removal.figures.add(name="comprehensiveness", value=0.2, interval=ends, inputs=20)
    plot = removal.plots.add(title="Without the parts named first", x="share removed", y="fall of the answer")
    for name, height in (("by the explanation", 0.25), ("at random", 0.05)):
        line = plot.lines.add(name=name, dashed=name == "at random")
        for share in (0.1, 0.5):
            line.points.add(x=share, y=height, interval=bundle_pb2.Interval(lower=height - 0.05, upper=height + 0.1))
    bins = [bundle_pb2.PlotBin(lower=step, upper=step + 1, count=5 * step) for step in range(3)]
    median = bundle_pb2.PlotMark(name="median", value=2.5)
    removal.plots.add(title="Model rows", x="rows for each part", y="held-out rows", bins=bins, marks=[median])
    told.metrics.add(id="plausibility", title="Plausibility", missing="no row has a rationale")
    return told


def row_of(page: Page, model: str, version: int) -> Any:
    return page.locator("table.versions tbody", has_text=model).locator(
        "tr", has=page.locator(f"a[href*='{model}?version={version}']")
    )


def confirm(page: Page) -> Any:
    return page.locator("dialog button.primary")


def give_token(page: Page, name: str) -> None:
    page.get_by_role("button", name="Token").click()
    page.get_by_label("Token for this server").fill(SECRETS[name])
    page.get_by_role("button", name="Use it").click()


def counted(page: Page, method: str) -> list[dict[str, Any]]:
    """The requests of a method from now on."""
    sent: list[dict[str, Any]] = []
    page.on(
        "request",
        lambda asked: sent.append(json.loads(asked.post_data or "{}")) if asked.url.endswith(method) else None,
    )
    return sent


@pytest.mark.parametrize("width", [390, 1440])
def test_the_list_tells_states_in_words_labels_and_reasons(versions: Stage, visitor: Any, width: int) -> None:
    with visitor(versions.url, width=width) as visited:
        with explicate.Client(versions.server) as client:
            client.activate_version("tiny", 1)
            with pytest.raises(explicate.errors.FailedPrecondition):
                client.load_model("tiny", version=3)
        page = visited.open("#/models")
        expect(row_of(page, "tiny", 1)).to_contain_text("ready")
        expect(row_of(page, "tiny", 1)).to_contain_text("live")
        expect(row_of(page, "tiny", 1)).to_contain_text("onnxruntime-cpu, fp32, on cpu")
        expect(row_of(page, "tiny", 2)).to_contain_text("previous")
        expect(row_of(page, "tiny", 3)).to_contain_text("failed")
        expect(row_of(page, "tiny", 3)).to_contain_text("golden.npz has 10 bytes")
        assert visited.too_wide() == []


def test_a_change_by_somebody_else_is_shown_without_a_reload(versions: Stage, visitor: Any) -> None:
    with visitor(versions.url) as visited:
        page = visited.open("#/models")
        expect(row_of(page, "tiny", 2).locator(".chip", has_text="live")).to_be_visible()
        expect(page.get_by_text("Changes are shown as they happen.")).to_be_visible()
        with explicate.Client(versions.server) as client:
            client.activate_version("tiny", 1)
        expect(row_of(page, "tiny", 1).locator(".chip", has_text="live")).to_be_visible(timeout=3000)


def test_an_activation_is_told_confirmed_once_and_rolled_back(versions: Stage, visitor: Any) -> None:
    with visitor(versions.url) as visited:
        page = visited.open("#/models/tiny?version=1")
        sent = counted(page, "ActivateVersion")
        page.get_by_role("button", name="Make version 1 live").click()
        dialog = page.get_by_role("dialog", name="Make version 1 live of tiny")
        expect(dialog).to_contain_text("Version 1 answers all calls of tiny that name no version")
        expect(dialog).to_contain_text("Version 2, live until now, stays loaded as the previous one")
        expect(dialog).to_contain_text("Undo: Roll back live (to version 2).")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        assert sent == []
        page.get_by_role("button", name="Make version 1 live").click()
        expect(confirm(page)).to_be_enabled()
        confirm(page).evaluate("button => { button.click(); button.click(); button.form.requestSubmit(); }")
        expect(dialog).to_contain_text("Version 1 of tiny is live now; before it was version 2.")
        assert sent == [{"model": "tiny", "version": 1, "label": "live", "expectedVersion": 2}]
        page.get_by_role("button", name="Close").click()
        page.get_by_role("button", name="Roll back live to version 2").click()
        expect(page.get_by_role("dialog")).to_contain_text("Version 2 answers all calls of tiny")
        confirm(page).click()
        expect(page.get_by_role("dialog")).to_contain_text("Version 2 of tiny is live again")
        with explicate.Client(versions.server) as client:
            assert client.get_model("tiny").status.version == 2


def test_what_another_changes_between_question_and_answer_is_told_and_nothing_is_done(
    versions: Stage, visitor: Any
) -> None:
    with visitor(versions.url) as visited, explicate.Client(versions.server) as other:
        page = visited.open("#/models/tiny?version=1")
        sent = counted(page, "ActivateVersion")
        page.get_by_role("button", name="Make version 1 live").click()
        expect(confirm(page)).to_be_enabled()
        other.activate_version("tiny", 1)
        other.activate_version("tiny", 1, label="best")
        confirm(page).click()
        alert = page.get_by_role("dialog").get_by_role("alert")
        expect(alert).to_contain_text("Somebody changed this meanwhile. Nothing was done")
        expect(alert).to_contain_text("The label live points at version 1 now, before at 2.")
        expect(alert).to_contain_text("The label best is new and points at version 1.")
        assert sent == []


def test_a_canary_gets_its_label_and_its_shares(versions: Stage, visitor: Any) -> None:
    with visitor(versions.url) as visited:
        page = visited.open("#/models/tiny?version=1")
        page.get_by_role("button", name="Give version 1 a label").click()
        page.get_by_role("combobox", name="Label").fill("Not A Label")
        expect(page.get_by_role("dialog")).to_contain_text("A label has lower-case letters")
        expect(confirm(page)).to_be_disabled()
        page.get_by_role("combobox", name="Label").fill("canary")
        confirm(page).click()
        page.get_by_role("button", name="Close").click()
        page.get_by_role("button", name="Set the canary's traffic").click()
        page.get_by_label("Calls that the canary answers").fill("120")
        expect(confirm(page)).to_be_disabled()
        page.get_by_label("Calls that the canary answers").fill("12.5")
        page.get_by_label("Other calls that it is asked in the background").fill("100")
        expect(page.get_by_role("dialog")).to_contain_text("version 1 (canary) answers 12.5%")
        confirm(page).click()
        expect(page.get_by_role("dialog")).to_contain_text(
            "The canary of tiny answers 12.5% and shadows 100% of the others."
        )
        page.get_by_role("button", name="Close").click()
        with explicate.Client(versions.server) as client:
            shares = client.get_model("tiny").traffic
            assert (shares.canary_share, shares.shadow_share) == (0.125, 1.0)
            live = [f"good {number}" for number in range(20)]
            for text in live:
                client.predict("tiny", [text])
        expect(page.locator("dl.figures")).to_contain_text("Predictions compared", timeout=15_000)
        page.get_by_role("button", name="Remove the label canary").click()
        expect(page.get_by_role("dialog")).to_contain_text("The shares of canary and shadow become 0.")
        confirm(page).click()
        expect(page.get_by_role("dialog")).to_contain_text("The label canary of tiny is gone.")


@pytest.fixture
def guarded(judged: Path, tmp_path: Path) -> Iterator[Stage]:
    """A server that asks for tokens and requires the standard."""
    lines = [line_of(Token(name, frozenset(RIGHTS[name]), digest_of(secret))) for name, secret in SECRETS.items()]
    tokens = tmp_path / "tokens"
    tokens.write_text("\n".join(lines))
    tokens.chmod(0o600)
    flags = ("--tokens", str(tokens), "--require-standard", str(judged / "standard.toml"))
    with stage(judged / "repository", tmp_path / "state", *flags, "--audit-log", str(tmp_path / "audit.jsonl")) as made:
        yield made


def test_a_token_without_the_right_is_told_which_right_is_missing(guarded: Stage, visitor: Any) -> None:
    with visitor(guarded.url) as visited:
        visited.expected.append(REFUSED)
        page = visited.open("#/models/table?version=1")
        expect(page.get_by_text("this call needs a token").first).to_be_visible()
        give_token(page, "reader")
        page.get_by_role("button", name="Give version 1 a label").click()
        page.get_by_role("combobox", name="Label").fill("best")
        confirm(page).click()
        alert = page.get_by_role("dialog").get_by_role("alert")
        expect(alert).to_contain_text(
            "this call needs the right admin, which the token 'reader' does not have. Nothing was changed."
        )
        expect(confirm(page)).to_be_enabled()


def test_a_version_below_the_standard_is_made_live_only_by_an_override_with_a_reason(
    guarded: Stage, visitor: Any
) -> None:
    with visitor(guarded.url) as visited:
        visited.expected.append(REFUSED)
        page = visited.open("#/models/table?version=2")
        give_token(page, "ops")
        sent = counted(page, "ActivateVersion")
        page.get_by_role("button", name="Make version 2 live").click()
        confirm(page).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("The standard of this server (s, version 2) refuses it")
        expect(dialog.locator(".override li")).to_contain_text("accuracy")
        expect(confirm(page)).to_have_text("Try without an override")
        expect(page.locator("dialog:modal")).to_be_in_viewport()
        page.get_by_label("Why it is to serve all the same").fill("agreed with risk, ticket 7")
        confirm(page).click()
        expect(dialog.get_by_role("alert")).to_contain_text(
            "needs the right override-standard, which the token 'ops' does not have"
        )
        page.get_by_role("button", name="Leave it as it is").click()
        page.get_by_role("button", name="Token held").click()
        page.get_by_label("Token for this server").fill(SECRETS["lead"])
        page.get_by_role("button", name="Use it").click()
        page.get_by_role("button", name="Make version 2 live").click()
        page.get_by_label("Why it is to serve all the same").fill("agreed with risk, ticket 7")
        confirm(page).click()
        expect(dialog).to_contain_text("Version 2 of table is live now; before it was version 1.")
        assert [one.get("overrideStandard") for one in sent] == [
            None,
            "agreed with risk, ticket 7",
            "agreed with risk, ticket 7",
        ]
        page.get_by_role("button", name="Close").click()
        expect(page.get_by_text("overridden").first).to_be_visible()
        expect(page.get_by_text("lead overrode the standard")).to_contain_text("agreed with risk, ticket 7")


def test_a_models_page_is_whole_and_accessible_in_every_look(
    judged_stage: Stage, visitor: Any, looks: dict[str, Any]
) -> None:
    with visitor(judged_stage.url, **looks) as visited:
        page = visited.open("#/models/table?version=1")
        expect(page.get_by_text("1 of 1 requirements met")).to_be_visible()
        expect(page.locator("svg.curve").first).to_have_attribute(
            "aria-label", "Accuracy with parts removed. 0 % removed: 0.900; 10 % removed: 0.800; 90 % removed: 0.500"
        )
        curves, histogram = page.locator("figure.plot").all()
        expect(curves.locator("polyline")).to_have_count(2)
        expect(curves.locator("polyline.compared")).to_have_css("stroke-dasharray", "6px, 4px")
        expect(histogram.locator("rect.bin")).to_have_count(3)
        expect(histogram.locator(".legend")).to_have_text("median 2.500")
        for plot in (curves, histogram):
            plot.get_by_text("As a table").click()
        expect(curves.get_by_role("row", name="at random 0.5 0.050 0.000 to 0.150")).to_be_visible()
        expect(histogram.get_by_role("row", name="2.000 to 3.000 10")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="accuracy").filter(has_text="0.850 to 0.930")).to_be_visible()
        page.get_by_text("1 more could not be measured").click()
        expect(page.get_by_text("Plausibility: no row has a rationale")).to_be_visible()
        page.get_by_text("Show the card").click()
        expect(page.locator(".card")).to_contain_text(MARKUP)
        expect(page.locator(".card strong")).to_have_text("Strong")
        assert page.locator(".card a, .card img").count() == 0
        screenshot(page, f"model-{looks['theme']}-{looks['width']}")
        assert visited.too_wide() == []
        assert visited.inaccessible() == []
        page.get_by_role("button", name="Make version 2 live").or_(
            page.get_by_role("button", name="Give version 1 a label")
        ).first.click()
        expect(page.locator("dialog .buttons")).to_be_visible()
        screenshot(page, f"model-question-{looks['theme']}-{looks['width']}")
        assert visited.inaccessible() == []


def test_hostile_names_stay_text_and_within_the_page(repository: Path, tmp_path: Path, visitor: Any) -> None:
    hostile = tmp_path / "repository"
    shutil.copytree(repository / "hostile", hostile / "hostile")

    def spoil(manifest: dict[str, Any]) -> None:
        manifest["class_labels"] = [MARKUP, LONG, RIGHT_TO_LEFT + EMOJI]

    edit_manifest(hostile / "hostile" / "1", spoil)
    with stage(hostile, tmp_path / "state") as made, visitor(made.url, width=390) as visited:
        page = visited.open("#/models/hostile")
        expect(page.get_by_role("heading", name="Classes (3)")).to_be_visible()
        for name in (MARKUP, EMOJI, RIGHT_TO_LEFT):
            expect(page.locator("section").get_by_text(name).first).to_be_attached()
        assert page.locator(".chip.cut").nth(1).inner_text() == LONG
        assert page.evaluate("window.hacked") is None
        assert page.locator("main img").count() == 0
        assert visited.too_wide() == []
        assert visited.inaccessible() == []


def test_an_unknown_model_says_so(visited: Visit) -> None:
    page = visited.open("#/models/nobody")
    expect(page.get_by_text("The server knows no model nobody.")).to_be_visible()

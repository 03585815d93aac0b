"""The views of an explained row: shap, HTML, and the words around it."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

import explicate
from explicate._wire import calls, decoding
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.views import amounts, explanation_text, kinds, tables, wording
from explicate.views.html import document, fragment
from support.canned import canned_kinds
from support.canned.canned_server import prediction

ROW = {"age": 34, "income": None, "job": "clerk", "owner": True}


def explained(model: str = "credit", row: dict = ROW, **options) -> explicate.ExplainResult:
    return canned_kinds.explained(row, model, **options)


def predicted(value: float) -> explicate.Prediction:
    return explicate.Prediction(index=None, label="", scores=(), text_usage=None, value=value)


# shap itself still calls what matplotlib and numpy are about to change.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.usefixtures("drawn_nowhere")
class TestShap:
    def test_a_row_has_its_values_as_data(self):
        converted = explained().to_shap()
        assert converted.values.tolist() == [0.01, -0.02, 0.03, -0.04]
        assert list(converted.feature_names) == ["age", "income", "job", "owner"]
        age, income, job, owner = converted.data
        assert (age, job, owner) == (34.0, "clerk", "true")
        assert math.isnan(income)
        assert list(converted.display_data) == ["34", "missing", "clerk", "true"]

    def test_a_group_of_columns_has_all_their_values(self):
        assert list(explained("grouped").to_shap().data) == ["age: 34, income: missing", "clerk", "true"]

    @pytest.mark.parametrize("model", ["credit", "grouped", "progression"])
    def test_waterfall_bar_and_force_plots_draw_a_row(self, model):
        import matplotlib.pyplot as plt
        import shap

        converted = explained(model).to_shap()
        for plot in (shap.plots.waterfall, shap.plots.bar):
            axes = plot(converted, show=False)
            labels = " ".join(label.get_text() for label in axes.get_yticklabels())
            assert "clerk = job" in labels
            axes.figure.canvas.draw()
            plt.close("all")
        figure = shap.plots.force(converted, matplotlib=True, show=False)
        assert any("job = clerk" in text.get_text() for text in figure.axes[0].texts)
        assert "job" in shap.plots.force(converted).html()

    @pytest.mark.parametrize("name", ["$a_{$", r"\$x$y$", "cost ($) and gain ($)"])
    def test_dollars_in_names_and_values_are_no_formula(self, name):
        import matplotlib.pyplot as plt
        import shap

        result = explained()
        feature = explicate.Feature(column=name, values={name: "$b^$"})
        features = (feature, *result.explanation.features[1:])
        converted = replace(result, explanation=replace(result.explanation, features=features)).to_shap()
        assert converted.data[0] == "$b^$"
        for plot in (shap.plots.waterfall, shap.plots.bar):
            plot(converted, show=False).figure.canvas.draw()  # mathtext would raise here
            plt.close("all")

    def test_several_outputs_of_a_row_have_a_column_each(self):
        converted = explained(target=explicate.ALL).to_shap()
        assert converted[:, 1].values.tolist() == [0.01, -0.02, 0.03, -0.04]
        assert list(converted.output_names) == ["good", "bad"]

    def test_many_rows_are_one_table(self):
        results = [explained(row={**ROW, "age": age}) for age in (20, 40, 60)]
        converted = explicate.rows_to_shap(results)
        assert converted.values.tolist() == [[0.01, -0.02, 0.03, -0.04]] * 3
        assert converted.base_values.tolist() == [0.5] * 3
        assert converted.data[:, 0].tolist() == [20, 40, 60]
        assert converted.output_names == "bad"
        assert converted[1].data[2] == "clerk"

    def test_a_column_that_is_missing_in_every_row_has_no_number_to_colour_by(self):
        import shap

        converted = explicate.rows_to_shap([explained(), explained()])
        assert converted.data[:, 1].tolist() == ["missing", "missing"]
        shap.plots.beeswarm(converted, show=False)  # of NaN alone NumPy warns, and warnings fail a test

    def test_one_of_several_outputs_of_many_rows_can_be_taken(self):
        converted = explicate.rows_to_shap([explained(target=explicate.ALL)] * 2, output=0)
        assert converted.values.tolist() == [[-0.01, 0.02, -0.03, 0.04]] * 2
        assert converted.output_names == "good"

    def test_beeswarm_and_bar_plots_draw_many_rows(self):
        import matplotlib.pyplot as plt
        import shap

        rows = [{**ROW, "age": age, "income": income} for age, income in ((20, None), (40, 1), (60, 2))]
        converted = explicate.rows_to_shap([explained(row=row) for row in rows])
        for plot in (shap.plots.beeswarm, shap.plots.bar):
            axes = plot(converted, show=False)
            assert "income" in " ".join(label.get_text() for label in axes.get_yticklabels())
            axes.figure.canvas.draw()
            plt.close("all")

    @pytest.mark.parametrize(
        ("results", "message"),
        [
            ([], "at least one explanation"),
            ([explained(), explained("grouped")], "the same columns"),
            ([explained(), explained(target=explicate.ALL)], "not bad, good: give explain() a target"),
        ],
    )
    def test_rows_that_do_not_make_one_table_are_refused(self, results, message):
        with pytest.raises(explicate.UsageError, match=re.escape(message)):
            explicate.rows_to_shap(results)

    def test_missing_shap_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "shap", None)
        with pytest.raises(explicate.UsageError, match=re.escape("pip install 'explicate[shap]'")):
            explicate.rows_to_shap([explained()])


HOSTILE = "<script>alert(1)</script> & \"quoted\" 'text' </table>"


def cells(html: str) -> list[list[str]]:
    """What the table's lines say."""
    lines = re.findall(r"<tr>(.*?)</tr>", html)
    return [[re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line)] for line in lines]


class TestHtml:
    def test_table_has_column_value_attribution_and_interval(self):
        head, owner, job, income, age = cells(fragment(explained()))
        assert head == ["column", "value", "", "", "adds", "0.95 interval"]
        assert owner == ["owner", "true", "", "", "-0.040", ""]  # its interval is not known yet
        assert job == ["job", "clerk", "", "", "+0.030", "+0.010 to +0.050"]
        assert income == ["income", "missing", "", "", "-0.020", "-0.040 to +0.000"]
        assert age == ["age", "34", "", "", "+0.010", "-0.010 to +0.030"]

    def test_bars_stand_on_the_side_of_their_sign(self):
        html = fragment(explained())
        widths = re.findall(r'<td class="side lowers">(.*?)</td><td class="side">(.*?)</td>', html)
        drawn = [[re.findall(r"width:([\d.]+)%", side) for side in line] for line in widths]
        assert drawn == [[["100.0"], []], [[], ["75.0"]], [["50.0"], []], [[], ["25.0"]]]

    def test_an_interval_that_holds_zero_is_marked(self):
        assert re.findall(r'class="unsure">([^<]*)</span></td>', fragment(explained())) == ["-0.020", "+0.010"]

    def test_regression_says_what_it_predicts(self):
        html = fragment(explained("progression"))
        assert "<h4>predicts 340.0</h4>" in html
        assert "progression after one year: 0.50 over the background → -19.50 for this row" in html
        assert "+30.0" in html

    def test_unknown_categories_are_noted(self):
        note = "the model does not know the category in job: it answered as for any unknown one"
        assert note in fragment(explained(row={**ROW, "job": "baker"}))
        assert note not in fragment(explained())

    def test_names_and_values_are_escaped(self):
        result = explained(row={**ROW, "job": HOSTILE})
        features = (*result.explanation.features[:3], explicate.Feature(column=HOSTILE, values={HOSTILE: HOSTILE}))
        html = document([replace(result, explanation=replace(result.explanation, features=features))])
        assert "<script" not in html
        assert html.count("</table>") == 1
        assert html.count("&lt;script&gt;") == 3

    def test_nothing_can_be_hovered(self):
        html = fragment(explained())
        assert not [mark for mark in ("title", "hover a ") if mark in html]


class TestWording:
    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (153.24, "predicts 153.2"),
            (0.0, "predicts 0.000"),
            (-0.012345, "predicts -0.01235"),
            (254310.4, "predicts 254310"),
            (9.9999, "predicts 10.000"),
            (1e308, f"predicts {1e308:.0f}"),
            (math.nan, "predicts nan"),
        ],
    )
    def test_regression_is_told_with_four_digits(self, value, words):
        assert wording.prediction(predicted(value)) == words

    def test_class_is_told_with_its_probability(self):
        asked = calls.explain("credit", ROW, {}, version=None, label=None, priority=None).request.spec.input
        response = inference_pb.PredictResponse(predictions=[prediction("credit", asked)])
        assert wording.prediction(decoding.predict_result(response).predictions[0]) == "good 0.660"

    @pytest.mark.parametrize(
        ("value", "shown"),
        [(34, "34"), (0.1234567, "0.123457"), (1234567.5, "1234568"), (1e300, "1e+300"), (np.float32(0.5), "0.5")],
    )
    def test_numbers_of_a_row_are_short(self, value, shown):
        assert amounts.cell(value) == shown

    def test_a_row_is_told_on_one_line(self):
        assert amounts.row(ROW) == "age=34, income=, job=clerk, owner=true"

    @pytest.mark.parametrize(("model", "noun"), [("credit", "column"), ("grouped", "feature")])
    def test_features_have_a_name(self, model, noun):
        assert kinds.explained(explained(model)).noun == noun

    def test_method_names_the_masking(self):
        assert "4 columns, masking background" in wording.method(explained())

    def test_contrast_of_classes_is_told(self):
        result = explained(target=explicate.Contrast("bad", "good"))
        (attribution,) = result.explanation.attributions
        assert wording.outcome(attribution, result).startswith("bad rather than good: probability 0.500 over the back")

    @pytest.mark.parametrize(
        ("columns", "words"),
        [((), ""), (("job",), "the category in job:"), (("job", "city"), "the categories in job, city:")],
    )
    def test_unknown_categories_are_told_by_column(self, columns, words):
        told = wording.not_as_given(replace(predicted(1.0), unknown_category_columns=columns))
        assert words in told
        assert bool(told) == bool(columns)


class TestText:
    def test_table_has_the_values_beside_the_attributions(self):
        lines = list(explanation_text.lines(explained(), 0))[-5:]
        assert lines[0].split()[:2] == ["COLUMN", "VALUE"]
        assert lines[0].split()[-1] == "ADDS"
        assert [(line.split()[:2], line.split()[-3:]) for line in lines[2:]] == [
            (["job", "clerk"], ["+0.030", "±", "0.020"]),
            (["income", "missing"], ["-0.020", "±", "0.020"]),
            (["age", "34"], ["+0.010", "±", "0.020"]),
        ]

    @pytest.mark.parametrize(("largest", "figure"), [(12.0, "+12.000"), (0.012, "+0.012"), (0.0012, "+0.0012")])
    def test_small_figures_of_a_class_have_more_decimals(self, largest, figure):
        result = explained()
        (attribution,) = result.explanation.attributions
        scale = largest / max(attribution.values)
        scaled = replace(attribution, values=tuple(value * scale for value in attribution.values))
        small = replace(result, explanation=replace(result.explanation, attributions=(scaled,)))
        assert amounts.number(largest, amounts.decimals(small)) == figure

    def test_regression_has_the_decimals_of_its_attributions(self):
        lines = list(explanation_text.lines(explained("progression"), 0))
        assert lines[0].startswith("predicts 340.0  (")
        assert lines[-3].split()[-3:] == ["+30.0", "±", "2.0"]
        assert explanation_text.progress(explained("progression")) == "32 evaluations, widest interval ± 2.0"

    def test_long_values_are_cut_and_cannot_command_the_terminal(self):
        result = explained(row={**ROW, "job": "\x1b[31m" + "very " * 20})
        line = next(line for line in explanation_text.lines(result, 0) if line.startswith("job"))
        assert "\x1b" not in line
        assert "…" in line

    def test_hidden_columns_are_counted(self):
        assert list(explanation_text.lines(explained(), 2))[-1].startswith("and 2 more columns with less")

    def test_a_group_may_be_called_like_a_column(self):
        result = explained()
        features = tuple(replace(feature, column="age") for feature in result.explanation.features)
        shown = replace(result, explanation=replace(result.explanation, features=features))
        assert tables.names([each.feature for each in shown.explanation.top(4)], 20) == ["age"] * 4

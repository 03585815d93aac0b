"""An explanation of an image as a `shap.Explanation`, in the form that `shap.plots.image` draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explicate.results import ExplainResult
from explicate.views import picture as pictures

if TYPE_CHECKING:
    import shap


def image_to_shap(result: ExplainResult, shap: Any, np: Any) -> shap.Explanation:  # Any: the modules shap and numpy
    """The `shap.Explanation` of an image that the model saw with h x w pixels, for m outputs.

    `values`, `lower_bounds`, `upper_bounds` and `error_std` are float64 [1, h, w, 1, m]: what a segment adds is spread
    evenly over its pixels, as shap's own image masker has it, so that for SHAP methods the values of all pixels sum to
    the output minus its base value. `base_values` is float64 [1, m], `data` uint8 [1, h, w, 3] the part of the image
    that the model saw, resized to its size. Raises UsageError when Pillow is not installed.
    """
    image, shape = pictures.explained_image(result)
    outputs = result.explanation.attributions
    ids = np.asarray(shape.ids, dtype=np.intp)
    sizes = np.bincount(ids, minlength=len(result.explanation.features))

    def spread(field: str) -> Any:
        by_segment = np.array([getattr(output, field) for output in outputs], dtype=np.float64).T  # [segments, m]
        by_pixel = (by_segment / np.maximum(sizes, 1)[:, None])[ids]  # [h * w, m]
        return by_pixel.reshape(1, shape.height, shape.width, 1, len(outputs))

    picture = pictures.upright(image)
    usage = result.prediction.image_usage
    seen = (0, 0, *picture.size) if usage is None else (usage.left, usage.top, usage.right, usage.bottom)
    pixels = picture.resize((shape.width, shape.height), pictures.pillow().Resampling.BILINEAR, box=seen)
    return shap.Explanation(
        values=spread("values"),
        base_values=np.array([[output.baseline_value for output in outputs]]),
        data=np.asarray(pixels)[None],
        output_names=[output.name for output in outputs],
        lower_bounds=spread("lower"),
        upper_bounds=spread("upper"),
        error_std=spread("standard_errors"),
    )

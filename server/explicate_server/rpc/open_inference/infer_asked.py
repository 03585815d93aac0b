"""What a ModelInferRequest asks for beside its tensors: a version, outputs, and options in its parameters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from explicate.v1 import explanation_pb2, inference_service_pb2
from explicate_server.rpc.open_inference.tensors import PASSED_OVER, check_passed_over, refuse, some_parameters
from explicate_server.rpc.option_messages import value_names

LABEL, PROBABILITIES, VALUE, CLASSES = "label", "probabilities", "value", "classes"
ATTRIBUTIONS, LOWER, UPPER, FEATURES, BASELINE, EXPLANATION = EXPLAINED = (
    "attributions",
    "lower",
    "upper",
    "features",
    "baseline",
    "explanation",
)
"""Outputs that only an explanation has."""
_OUTPUTS = frozenset({LABEL, PROBABILITIES, VALUE, CLASSES, *EXPLAINED})
_MICROSECONDS = 1e6
# Of Triton's priorities 1 is the highest, and 0 means the model's own.
_FIRST_BULK_PRIORITY = 2
_MOST_VERSION_DIGITS = 9
_INTEGERS = (
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
)
_NUMBERS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
# What answers have no tensor for.
_NOT_TOLD = ("interactions",)
# The options of an explanation that are one value each.
_OPTIONS: Mapping[str, FieldDescriptor] = {
    field.name: field
    for field in explanation_pb2.ExplainOptions.DESCRIPTOR.fields
    if field.message_type is None and field.name not in _NOT_TOLD
}
TARGET, AGAINST = "target", "against"


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes:
        model: the version that is to answer, or the label.
        outputs: those that were named, in their order; none for all that a prediction has.
        options: of an explanation.
        bulk: whether others go first.
        timeout_s: None where nothing was said.
    """

    model: inference_service_pb2.ModelRef
    outputs: Sequence[str]
    options: explanation_pb2.ExplainOptions
    bulk: bool
    timeout_s: float | None

    @property
    def explains(self) -> bool:
        """Whether a prediction is not enough."""
        return any(name in EXPLAINED for name in self.outputs)


def read_asked(request: Any) -> Asked:
    """What a ModelInferRequest asks for.

    Raises:
        InvalidRequest: it names an output or a parameter that there is not, or one has no fitting value.
    """
    outputs = _outputs(request.outputs)
    given = {name: value for name, value in some_parameters(request.parameters) if not name.startswith(PASSED_OVER)}
    timeout_us = _integer(given.pop("timeout", None), "timeout")
    bulk = _integer(given.pop("priority", None), "priority") >= _FIRST_BULK_PRIORITY
    asked = Asked(
        model_ref(request.model_name, request.model_version),
        outputs,
        explanation_pb2.ExplainOptions(),
        bulk,
        timeout_us / _MICROSECONDS if timeout_us else None,
    )
    if given:
        _set_options(asked, given)
    return asked


def model_ref(name: str, version: str) -> inference_service_pb2.ModelRef:
    """The model and the version or label that a request names."""
    if not name:
        raise refuse("model_name", "is empty; name the model")
    if not version:
        return inference_service_pb2.ModelRef(model=name)
    if not (version.isascii() and version.isdigit()):
        return inference_service_pb2.ModelRef(model=name, label=version)
    if len(version) > _MOST_VERSION_DIGITS:
        raise refuse("model_version", "is no version that a model can have; leave it empty for the live one")
    return inference_service_pb2.ModelRef(model=name, version=int(version))


def _outputs(wanted: Sequence[Any]) -> Sequence[str]:
    if len(wanted) > len(_OUTPUTS):
        raise refuse("outputs", f"has {len(wanted):,} tensors; there are {len(_OUTPUTS)}")
    names: list[str] = []
    for place, output in enumerate(wanted):
        if output.name not in _OUTPUTS:
            raise refuse(f"outputs[{place}]", f"{output.name!r} is not an output; there are {_listed(_OUTPUTS)}")
        if output.name in names:
            raise refuse(f"outputs[{output.name}]", "comes twice")
        if output.parameters:
            check_passed_over(output.parameters, f"outputs[{output.name}]")
        names.append(output.name)
    return names


def _set_options(asked: Asked, given: Mapping[str, Any]) -> None:
    """Fill in the options of an explanation."""
    known = (*_OPTIONS, TARGET, AGAINST)
    for name in given:
        if name not in known:
            problem = f"is not a parameter; there are {_listed(('timeout', 'priority', *known))}"
            raise refuse(path_of_parameter(name), problem)
        if not asked.explains:
            problem = f"has an effect on explanations only; ask for one of the outputs {_listed(EXPLAINED)}"
            raise refuse(path_of_parameter(name), problem)
    for name in given.keys() & _OPTIONS.keys():
        _set_option(asked.options, _OPTIONS[name], given[name])
    _set_target(asked.options.target, given)


def _set_option(options: explanation_pb2.ExplainOptions, field: FieldDescriptor, parameter: Any) -> None:
    value, path = _value(parameter, field.name), path_of_parameter(field.name)
    if field.enum_type is not None:
        values = {text: number for number, text in value_names(field.enum_type).items() if text}
        if value not in values:
            raise refuse(path, f"is {value!r}; there are {_listed(values)}")
        value = values[value]
    elif field.type in _INTEGERS and type(value) is not int:
        raise refuse(path, f"is {value!r}; give it as int64_param or uint64_param")
    elif field.type in _NUMBERS and type(value) not in (int, float):
        raise refuse(path, f"is {value!r}; give it as double_param")
    elif field.type == FieldDescriptor.TYPE_STRING and type(value) is not str:
        raise refuse(path, f"is {value!r}; give it as string_param")
    try:
        setattr(options, field.name, value)
    except ValueError:
        raise refuse(path, f"is {value}, which is out of its range") from None


def _set_target(target: explanation_pb2.Target, given: Mapping[str, Any]) -> None:
    """The class that is explained, by its label or index, or all; and another one that it is compared with."""
    if AGAINST in given:
        target.contrast.SetInParent()
        for name, side in ((TARGET, target.contrast.target), (AGAINST, target.contrast.reference)):
            if name in given:
                _name_class(side, given[name], name)
    elif TARGET in given:
        if _value(given[TARGET], TARGET) == "all":
            target.all.SetInParent()
        else:
            _name_class(target, given[TARGET], TARGET)


def _name_class(selector: Any, parameter: Any, name: str) -> None:
    value = _value(parameter, name)
    if type(value) is str:
        selector.label = value
    elif type(value) is int and 0 <= value < 1 << 31:
        selector.index = value
    else:
        raise refuse(path_of_parameter(name), f"is {value!r}; give a class by its label or its index")


def _integer(parameter: Any, name: str) -> int:
    """A number that is 0 where nothing was said."""
    if parameter is None:
        return 0
    value = _value(parameter, name)
    if type(value) is not int or value < 0:
        raise refuse(path_of_parameter(name), f"is {value!r}; give 0 or more as int64_param or uint64_param")
    return value


def _value(parameter: Any, name: str) -> bool | int | float | str:
    kind = parameter.WhichOneof("parameter_choice")
    if kind is None:
        raise refuse(path_of_parameter(name), "has no value")
    value: bool | int | float | str = getattr(parameter, kind)
    return value


def path_of_parameter(name: str) -> str:
    return f"parameters[{name}]"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

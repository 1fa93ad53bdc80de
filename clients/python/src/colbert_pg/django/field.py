"""MultiVectorField. A parameter is the text form, so nothing is registered with the driver."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Field

from .._driver import as_multivector
from ..multivector import Element, MultiVector


class MultiVectorField(Field):
    """A set of token embeddings: multivector(dims, element).

    A value is a MultiVector, an array of shape (tokens, dims), nested lists, or text; one that is
    read is a MultiVector.
    """

    description = "Multivector"
    empty_strings_allowed = False

    def __init__(
        self, *args: Any, dims: int | None = None, element: Element | None = None, **kwargs: Any
    ) -> None:
        if dims is None and element is not None:
            raise ValueError(f"expected dims beside element {element!r}")
        self.dims, self.element = dims, element
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        given = {"dims": self.dims, "element": self.element}
        kwargs.update({key: value for key, value in given.items() if value is not None})
        return name, path, args, kwargs

    def db_type(self, connection: Any) -> str:  # noqa: ARG002
        modifiers = [str(part) for part in (self.dims, self.element) if part is not None]
        return f"multivector({', '.join(modifiers)})" if modifiers else "multivector"

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:  # noqa: ARG002
        return "%s::multivector"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> MultiVector | None:  # noqa: ARG002
        return as_multivector(value)

    def to_python(self, value: Any) -> MultiVector | None:
        try:
            return as_multivector(value)
        except ValueError as e:
            raise ValidationError(str(e), code="invalid") from e

    def get_prep_value(self, value: Any) -> str | None:
        value = as_multivector(super().get_prep_value(value))
        return None if value is None else value.to_text()

    def value_to_string(self, obj: Any) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""

    def formfield(self, **kwargs: Any) -> forms.Field:
        return super().formfield(**{"form_class": MultiVectorFormField, **kwargs})


class MultiVectorFormField(forms.CharField):
    """The text form, [[0.1, 0.2], [0.3, 0.4]]."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return value.to_text() if isinstance(value, MultiVector) else value

    def to_python(self, value: Any) -> MultiVector | None:
        if value in self.empty_values:
            return None
        try:
            return as_multivector(value)
        except ValueError as e:
            raise ValidationError(str(e), code="invalid") from e

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.to_python(initial) != self.to_python(data)
        except ValidationError:
            return True

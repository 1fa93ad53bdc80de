"""Multivectors for hypothesis."""

from __future__ import annotations

from typing import Final

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colbert_pg import Element, MultiVector

ELEMENTS: Final[tuple[Element, ...]] = ("float4", "float2", "int8")


@st.composite
def multivectors(draw: st.DrawFn, element: Element | None = None) -> MultiVector:
    """Draw a multivector of any shape, element and magnitude that the element can hold."""
    element = element or draw(st.sampled_from(ELEMENTS))
    numbers = (
        st.floats(-65504, 65504, width=16)
        if element == "float2"
        else (st.floats(-(2.0**56), 2.0**56, width=32) | st.floats(-1, 1, width=32))
    )
    shape = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
    return MultiVector(draw(hnp.arrays(np.float32, shape, elements=numbers)), element)

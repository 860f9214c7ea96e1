"""A letter that is filled into a stencil is, letter for letter, the one that is rendered for its reader alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.template import Engine, Template
from hypothesis import given
from hypothesis import strategies as st

from crm.actions import letters, stencils
from tests.crm.actions.test_letters import LETTERS, OFFERED

PARTS = [(name, f"{name}.{part}") for name in LETTERS for part in ("subject.txt", "txt", "html")]
words = st.text(max_size=40).map(lambda text: " ".join(text.replace("\ufffe", "").split()))


@pytest.mark.parametrize(("letter", "part"), PARTS, ids=[part for _letter, part in PARTS])
@given(data=st.data(), language=st.sampled_from(OFFERED), shop=words, imprint=st.tuples(words))
def test_a_filled_stencil_is_what_rendering_gives(
    letter: str, part: str, data: Any, language: str, shop: str, imprint: Any
):
    known: dict[str, Any] = {
        name: data.draw(words)
        if isinstance(value, str | datetime)
        else value  # a moment is written before it comes here
        for name, value in data.draw(st.sampled_from(LETTERS[letter])).items()
        if name not in ("answer_by", "files")
    } | ({"answer_by": data.draw(words)} if letter == "crm/acknowledgement" else {})
    if letter == "crm/file_refused":
        known["files"] = [("photo.exe", "§")]
    surroundings = {"language": language, "shop": shop, "imprint": imprint, "autoescape": part.endswith(".html")}
    shape = stencils.shape_of(known)
    if shape is None or not stencils.fits(letters._compiled(part), known):
        assert "files" in known or ("text" in known and part.endswith(".html"))
        return
    plain = letters._rendered(part, known, **surroundings)
    stencil = stencils.Stencil(letters._rendered(part, dict(shape), **surroundings), escapes=surroundings["autoescape"])
    assert stencil.filled(known) == plain
    assert stencil.filled({name: "x" if isinstance(value, str) and value else value for name, value in known.items()})


@pytest.mark.parametrize(
    "source",
    [
        "{{ name|upper }}",
        "{{ name.0 }}",
        "{% if name == 'Ada' %}x{% endif %}",
        "{% if name|length > 3 %}x{% endif %}",
        "{% for letter in name %}{{ letter }}{% endfor %}",
        "{% with other=name %}{{ other }}{% endwith %}",
        "{% load i18n %}{% translate name %}",
        "{% load i18n %}{% blocktranslate with n=name %}{{ n }}{% endblocktranslate %}",
        "{% filter upper %}{{ name }}{% endfilter %}",
        "{% if yes %}{{ name|first }}{% endif %}",
    ],
)
def test_a_template_that_does_more_with_a_word_than_show_it_is_rendered_each_time(source: str):
    engine = Engine(libraries={"i18n": "django.templatetags.i18n"})
    assert not stencils.fits(Template(source, engine=engine), {"name": "Ada", "yes": True})


def test_yes_is_not_a_word_and_nobody_brings_marks_of_their_own():
    assert stencils.shape_of({"a": "x"}) != stencils.shape_of({"a": True})
    assert stencils.shape_of({"a": "x"}) == stencils.shape_of({"a": "y"})
    assert stencils.shape_of({"a": ("x\uffffname\uffff",)}) is None
    assert (
        stencils.Stencil("Dear \uffffname\uffff", escapes=True).filled({"name": "\uffffb\uffff<"})
        == "Dear \uffffb\uffff&lt;"
    )

"""Finds every text that customers read in the source, and reads and writes the catalogues of their translations.

Staff read English; only what customers read has catalogues (docs/adr/0022). So the texts are not simply all that are marked:
they are those of the templates that customers see, of the modules and refusals that public pages show, and whatever the
product says inside `with translation.override(…)`, which it uses for customers' languages alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polib
from django.utils.translation.template import templatize

from tests.architecture.source import name_of, product_files
from tests.conftest import ROOT

LANGUAGES = {"de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "nl": "Dutch", "pl": "Polish"}
PLURALS = {
    "de": "nplurals=2; plural=(n != 1);",
    "fr": "nplurals=2; plural=(n > 1);",
    "es": "nplurals=2; plural=(n != 1);",
    "it": "nplurals=2; plural=(n != 1);",
    "nl": "nplurals=2; plural=(n != 1);",
    "pl": "nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);",
}
TEMPLATES = ("email/**/*", "package/*", "crm/*", "loyalty/*", "recovery/*", "public.html", "403_csrf.html", "404.html")
WHOLE_MODULES = (
    "crm/pages.py", "crm/preference_pages.py", "crm/policy/consent.py", "loyalty/pages.py", "crm/actions/identity.py",
    "crm/channels/email/reasons.py", "crm/channels/__init__.py", "recovery/pages.py", "recovery/policy/certifying.py",
)  # fmt: skip
REFUSALS = {"crm/actions/intake.py": {"NothingSaid", "DifferentContent"}}
"""Refusals that the contact page shows in their own words."""
MARKS = {"_", "gettext", "gettext_lazy"}
MARKS_WITH_CONTEXT = {"pgettext", "pgettext_lazy"}


@dataclass(frozen=True, slots=True, order=True)
class Text:
    """One text to translate. context: "" where it has none; place: the file it stands in."""

    msgid: str
    context: str
    place: str


@cache
def wanted() -> tuple[Text, ...]:
    """Every text that customers read, each once, in the order of the files."""
    found: dict[tuple[str, str], Text] = {}
    for text in (*_of_templates(), *_of_modules()):
        found.setdefault((text.msgid, text.context), text)
    return tuple(found.values())


def template_texts(path: Path) -> list[str]:
    """The texts that one template marks."""
    source = templatize(path.read_text(encoding="utf-8"))
    # templatize writes the source as calls of gettext and the rest as X, so every call can be read by itself.
    calls = re.findall(r"""\b(?:_|gettext)\((u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")\)""", source)
    return [ast.literal_eval(call) for call in calls]


def customer_templates() -> list[Path]:
    """The files of everything that is shown or sent to customers."""
    folder = ROOT / "templates"
    return sorted({path for shape in TEMPLATES for path in folder.glob(shape) if path.is_file()})


def _of_templates() -> Iterator[Text]:
    for path in customer_templates():
        for msgid in template_texts(path):
            yield Text(msgid, "", path.relative_to(ROOT).as_posix())


def _of_modules() -> Iterator[Text]:
    for file in product_files():
        name = name_of(file)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) in MARKS_WITH_CONTEXT:
                context, msgid = (ast.literal_eval(argument) for argument in node.args)
                yield Text(msgid, context, name)
            if (
                (name in WHOLE_MODULES and isinstance(node, ast.Module))
                or (isinstance(node, ast.With) and any(_is_override(item.context_expr) for item in node.items))
                or (isinstance(node, ast.Raise) and _raises(node) in REFUSALS.get(name, ()))
            ):
                yield from (Text(msgid, "", name) for msgid in _marked(node))


def _marked(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and _called(inner) in MARKS:
            yield ast.literal_eval(inner.args[0])


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _is_override(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Call) and ast.unparse(expression.func) == "translation.override"


def _raises(node: ast.Raise) -> str:
    return _called(node.exc) if isinstance(node.exc, ast.Call) else ""


def file_of(language: str) -> Path:
    """Where the catalogue of a language is kept; the compiled one lies beside it."""
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def translations(language: str) -> dict[tuple[str, str], str]:
    """What a catalogue says: by text and context."""
    path = file_of(language)
    return (
        {(entry.msgid, entry.msgctxt or ""): entry.msgstr for entry in polib.pofile(str(path))} if path.exists() else {}
    )


def compiled(language: str) -> dict[tuple[str, str], str]:
    """The same of the compiled catalogue, which is what the product reads."""
    entries = polib.mofile(str(file_of(language).with_suffix(".mo")))
    return {(entry.msgid, entry.msgctxt or ""): entry.msgstr for entry in entries}


def write(language: str) -> list[str]:
    """Bring a catalogue in line with the source and compile it. Returns the texts that have no translation yet."""
    known = translations(language)
    catalogue = polib.POFile(wrapwidth=110)
    catalogue.header = f"What Evenhand's customers read, in {LANGUAGES[language]}: the formal address throughout."
    catalogue.metadata = {
        "Project-Id-Version": "Evenhand",
        "Language": language,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": PLURALS[language],
    }
    for text in wanted():
        shape = {"flags": ["python-format"]} if re.search(r"%\(\w+\)s", text.msgid) else {}
        catalogue.append(
            polib.POEntry(
                msgid=text.msgid,
                msgctxt=text.context or None,
                msgstr=known.get((text.msgid, text.context), ""),
                occurrences=[(text.place, "")],
                **shape,
            )
        )
    path = file_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    catalogue.save(str(path))
    catalogue.save_as_mofile(str(path.with_suffix(".mo")))
    return [entry.msgid for entry in catalogue if not entry.msgstr]

"""`make words`: bring the catalogues in line with the source, compile them, and say what still wants translating."""

from __future__ import annotations

import sys

from tests.words import catalogues


def main() -> int:
    missing = 0
    for language, name in catalogues.LANGUAGES.items():
        untranslated = catalogues.write(language)
        missing += len(untranslated)
        print(f"{name}: {len(catalogues.wanted())} texts, {len(untranslated)} not translated yet")
        for text in untranslated:
            print(f"  {text}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

"""Public drafts by the hundred: what is planted in them is known, and ordinary ones tell nothing of anybody."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from crm.language.confidences import Kind, Known

MAIL, PHONE, HOME, ORDER = "anna.meierhofer@home.example", "+491701234567", "Rosenweg 12, 50667 Köln", "EV-2026-004711"
KNOWN = (
    Known(Kind.EMAIL, MAIL),
    Known(Kind.PHONE, PHONE),
    Known(Kind.ADDRESS, HOME),
    Known(Kind.ADDRESS, "12 Baker Street, London NW1 6XE"),
    Known(Kind.ADDRESS, "8 rue des Lilas, 75020 Paris"),
    Known(Kind.ADDRESS, "Müllerstraße 7, 80469 München"),
    Known(Kind.REFERENCE, ORDER),
    Known(Kind.REFERENCE, "47110815"),
    Known(Kind.NAME, "Anna Meierhofer"),
    Known(Kind.RELATIVE, "Peter Schönbaum"),
    Known(Kind.AMOUNT, "80.00"),
    Known(Kind.AMOUNT, "1234.50"),
    Known(Kind.DAY, "1987-3-14"),
    Known(Kind.FIELD, "contract K-88231"),
    Known(Kind.FIELD, "sapphire circle"),
    Known(Kind.HANDLE, "anna_m87"),
    Known(Kind.GIFT, "1"),
)

PLANTED: dict[str, dict[Kind, tuple[str, ...]]] = {
    "*": {
        Kind.EMAIL: (
            MAIL,
            "Anna.Meierhofer@Home.Example",
            "anna.meierhofer (at) home.example",
            "anna.meierhofer [at] home [dot] example",
            "anna.meierhofer@home,example".replace(",", "."),
            "anna.meierhofer @ home . example",
            "a***@home.example",
            "anna.meierhofr@home.example",
            "anna.meierhofer@other.example",
            "mailto:anna.meierhofer@home.example",
        ),
        Kind.PHONE: (
            "+49 170 1234567",
            "0170 1234567",
            "0049 170 123 45 67",
            "0170/1234567",
            "0170-123-4567",
            "(0170) 123 4567",
            "+49 (0)170 1234567",
            "0170 *** 4567",
            "0170 12345**",
            "0170 1234576",
            "+491701234567",
            "1701234567",
        ),
        Kind.REFERENCE: (
            ORDER,
            "ev-2026-004711",
            "EV 2026 004711",
            "EV2026004711",
            "EV/2026/004711",
            "EV-2026-004771",
            "004711",
            "4711-0815",
            "4711 0815",
            "47110815",
            "#47110815",
            "47 11 08 15",
            "4711.0815",
        ),
        Kind.AMOUNT: (
            "80 €",
            "€80",
            "EUR 80.00",
            "80,00 €",
            "80.00 EUR",
            "80,- €",
            "80€",
            "1.234,50 €",
            "1,234.50 €",
            "€ 1234.50",
            "80 EUR",
        ),
        Kind.DAY: ("14.03.1987", "14.3.1987", "1987-03-14", "14/03/1987", "03/14/1987", "14.3."),
        Kind.ADDRESS: (
            "Rosenweg 12",
            "ROSENWEG 12",
            "Rosenweg",
            "50667 Köln",
            "D-50667",
            "12 Baker Street",
            "12 Baker St.",
            "baker street",
            "NW1 6XE",
            "nw16xe",
            "8 rue des Lilas",
            "Rue des lilas",
            "75020 Paris",
            "Müllerstraße 7",
            "Mullerstr. 7",
            "MÜLLERSTRASSE",
            "Müller Str. 7",
        ),
        Kind.NAME: (
            "Anna Meierhofer",
            "ANNA MEIERHOFER",
            "Meierhofer, Anna",
            "A. Meierhofer",
            "Anna Meierhöfer",
            "Anna Meierhofr",
            "Meierhofer",
        ),
        Kind.FIELD: ("contract K-88231", "K 88231", "k88231", "sapphire circle", "Sapphire Circle", "saphire circle"),
        Kind.HANDLE: ("@anna_m87", "anna_m87"),
    },
    "en": {
        Kind.EMAIL: ("anna.meierhofer at home dot example",),
        Kind.AMOUNT: ("eighty euros", "80 euros", "80 Euro"),
        Kind.DAY: ("14 March", "March 14th", "the 14th of March 1987", "March 14, 1987", "your birthday"),
        Kind.PHONE: ("the number ending in 4567",),
        Kind.REFERENCE: ("the order ending in 0815",),
        Kind.NAME: ("Mrs Meierhofer", "Ms. Meierhofer"),
        Kind.RELATIVE: ("your husband Peter", "Peter Schoenbaum".replace("oe", "ö"), "your partner Peter"),
        Kind.GIFT: (
            "the voucher we sent you",
            "your gift card",
            "our goodwill payment",
            "a little surprise from us",
            "the flowers",
        ),
        Kind.PRIVATE: (
            "your case",
            "case number",
            "what is in your e-mail",
            "your previous complaint",
            "when you called",
            "your other order",
        ),
        Kind.HEALTH: ("your cancer", "your pregnancy", "your time in hospital", "your diagnosis", "your depression"),
    },
    "de": {
        Kind.EMAIL: ("anna.meierhofer (ät) home punkt example", "anna.meierhofer at home punkt example"),
        Kind.AMOUNT: ("achtzig Euro", "80 Euro"),
        Kind.DAY: ("14. März", "14. März 1987", "Ihr Geburtstag"),
        Kind.PHONE: ("die Nummer endet auf 4567",),
        Kind.NAME: ("Frau Meierhofer", "Familie Meierhofer"),
        Kind.RELATIVE: ("Ihr Mann Peter", "Ihrem Sohn Peter", "Peter Schönbaum"),
        Kind.GIFT: ("Ihr Gutschein", "die Kulanz", "das Geschenk", "die Blumen", "Ihre Entschädigung"),
        Kind.PRIVATE: (
            "Ihr Vorgang",
            "Vorgangsnummer",
            "Ihre frühere Beschwerde",
            "in Ihrer E-Mail",
            "Ihr Anruf",
            "Ihre letzte Bestellung",
        ),
        Kind.HEALTH: ("Ihre Schwangerschaft", "Ihre Krankheit", "Ihr Krankenhausaufenthalt", "Ihre Depression"),
    },
    "fr": {
        Kind.EMAIL: ("anna.meierhofer arobase home point example",),
        Kind.AMOUNT: ("quatre-vingts euros", "80 euros"),
        Kind.DAY: ("14 mars", "le 14 mars 1987", "votre anniversaire"),
        Kind.PHONE: ("le numéro se terminant par 4567",),
        Kind.NAME: ("Mme Meierhofer", "Madame Meierhofer"),
        Kind.RELATIVE: ("votre mari Peter", "votre fils Peter"),
        Kind.GIFT: ("votre bon d'achat", "le geste commercial", "votre cadeau", "le dédommagement"),
        Kind.PRIVATE: (
            "votre dossier",
            "numéro de dossier",
            "votre précédente réclamation",
            "dans votre courriel",
            "votre dernière commande",
        ),
        Kind.HEALTH: ("votre maladie", "votre grossesse", "votre handicap"),
    },
}
AROUND = {
    "en": (
        "Sorry about that! It concerns {}.",
        "Hello, we looked at {} and will be in touch.",
        "Thanks for your patience – regarding {}, we are on it.",
    ),
    "de": (
        "Das tut uns leid! Es geht um {}.",
        "Hallo, wir haben {} geprüft und melden uns.",
        "Danke für die Geduld – zu {} schreiben wir bald.",
    ),
    "fr": (
        "Nous sommes désolés ! Cela concerne {}.",
        "Bonjour, nous avons vérifié {} et revenons vers toi.",
        "Merci pour la patience – pour {}, on s'en occupe.",
    ),
}


@dataclass(frozen=True, slots=True)
class Draft:
    """One draft with one thing planted at text[start:end]."""

    text: str
    kind: Kind
    start: int
    end: int


def planted() -> Iterator[Draft]:
    """Every notation of every kind in every sentence of its language."""
    for language, frames in AROUND.items():
        for kind, words in itertools.chain(PLANTED["*"].items(), PLANTED[language].items()):
            for word, frame in itertools.product(words, frames):
                start = frame.index("{}")
                yield Draft(frame.format(word), kind, start, start + len(word))


_PARTS = {
    "en": (
        ("Sorry about that!", "Thank you for telling us.", "We hear you.", "Hi Anna,", "Good morning!"),
        (
            "Our lamps have a guarantee of two years, whoever bought them.",
            "We are open from 9:00 to 18:00 on weekdays.",
            "Please send us a direct message so that we can look at it.",
            "The update 4.5 fixes this; it comes on Tuesday.",
            "Everybody whose parcel is late gets the delivery fee back.",
            "We have mended the page; it took 35 minutes.",
            "You can reach us at support@shop.example or +49 221 5550100.",
            "Returns are free within 30 days, as our rules say.",
            "The shop in the Hauptstraße 5 is closed until 2 May.",
            "About 12 000 people were affected between 10:15 and 11:40.",
            "Orders over 50 € are sent free of charge.",
            "A new one costs 24.90 € and is in stock again.",
            "We are looking into the outage of 3 November.",
            "Customer Service answers within four hours.",
        ),
        ("Thank you!", "We keep you posted.", "Ada from the shop"),
    ),
    "de": (
        ("Das tut uns leid!", "Danke für den Hinweis.", "Guten Morgen!", "Hallo Anna,"),
        (
            "Auf alle Lampen geben wir zwei Jahre Garantie.",
            "Wir haben werktags von 9 bis 18 Uhr geöffnet.",
            "Bitte schreib uns eine Direktnachricht, dann schauen wir nach.",
            "Das Update 4.5 behebt den Fehler, es kommt am Dienstag.",
            "Wer sein Paket zu spät bekommt, dem erstatten wir die Versandkosten.",
            "Die Störung vom 3. November ist behoben.",
            "Sie erreichen uns unter support@shop.example oder 0221 5550100.",
            "Ab 50 Euro ist der Versand frei.",
            "Im Fall einer Störung hilft ein Neustart.",
            "Rund 12.000 Haushalte waren betroffen.",
            "Der Kundendienst antwortet in vier Stunden.",
            "Die Bauer in der Region beliefern uns seit 2019.",
        ),
        ("Vielen Dank!", "Wir melden uns.", "Ada vom Laden"),
    ),
    "fr": (
        ("Nous sommes désolés !", "Merci de nous l'avoir dit.", "Bonjour Anna,"),
        (
            "Toutes nos lampes ont une garantie de deux ans.",
            "Nous sommes ouverts de 9 h à 18 h en semaine.",
            "Écris-nous en message privé et nous regarderons.",
            "La mise à jour 4.5 arrive mardi.",
            "Chacun dont le colis est en retard récupère les frais de port.",
            "La panne du 3 novembre est réparée.",
            "Vous nous trouvez à support@shop.example.",
            "La livraison est gratuite dès 50 euros.",
            "Environ 12 000 foyers étaient concernés.",
        ),
        ("Merci !", "On vous tient au courant."),
    ),
}


def ordinary() -> Iterator[str]:
    """Drafts as they are written every day, to this very customer, that tell nothing of them."""
    for greeting, middle, end in _PARTS.values():
        yield from (" ".join(parts) for parts in itertools.product(greeting, middle, end))

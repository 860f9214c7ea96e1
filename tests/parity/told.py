"""Stories that customers tell: their words, what staff note once they have listened, and whether it is a failure of ours."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from recovery.policy import ComplaintType, Facts


@dataclass(frozen=True, slots=True)
class Story:
    """words: what the customer says. facts: what is noted about our failure; None where there is none."""

    name: str
    words: str
    facts: Facts | None = None


def _facts(kind: ComplaintType, loss: str = "0", **more: object) -> Facts:
    return Facts(kind, loss=Decimal(loss), **more)  # type: ignore[arg-type]


DAMAGED, LATE, CHANGE = ComplaintType.DAMAGED_ITEM, ComplaintType.LATE_OR_MISSING, ComplaintType.UNREQUESTED_CHANGE
CHARGE, CONDUCT = ComplaintType.WRONG_CHARGE, ComplaintType.CONDUCT

GUITAR = Story(
    "the guitar",
    "My guitar came back from you with a broken neck. It is worth 3,500 and the repair cost me 1,200. For nine months I have "
    "been sent from one department to the next, and nobody has helped me.",
    _facts(DAMAGED, "1200.00", days_without=270, our_failures=5),
)
STORIES = (
    GUITAR,
    Story("a lamp", "My lamp arrived broken. The shade is cracked.", _facts(DAMAGED, "89.90")),
    Story("a wedding dress", "You sent the wrong dress, and the wedding is on Saturday.", _facts(DAMAGED, "640.00", days_without=2)),
    Story("a bicycle", "The bicycle came back from the workshop with a damaged frame.", _facts(DAMAGED, "310.00", days_without=6)),
    Story("a parcel", "My parcel never arrived. I have been waiting for three weeks.", _facts(LATE, "45.00", days_without=21)),
    Story("a builder", "Nobody came to mend the roof, and I took the day off for it.", _facts(LATE, "150.00", days_without=1)),
    Story("a train", "The train was cancelled and I was stranded for six hours.", _facts(LATE, "78.50", days_without=1)),
    Story("a magazine", "You changed my subscription without asking me.", _facts(CHANGE, "36.00")),
    Story("a phone tariff", "My tariff was changed without my consent and it costs twice as much.", _facts(CHANGE, "24.99")),
    Story("a hotel", "I was charged twice for the same room.", _facts(CHARGE, "212.00")),
    Story("a bank", "You charged me extra for a card I never received.", _facts(CHARGE, "12.00", our_failures=2)),
    Story("a gas cooker", "There is a smell of gas since your fitter left, the valve is leaking.", _facts(DAMAGED, safety=True)),
    Story("a child seat", "The buckle of the child seat is broken and my son fell out.", _facts(DAMAGED, "99.00", safety=True)),
    Story("heating in winter", "Our heating has stopped working and we have no warm water.", _facts(LATE, days_without=2, essential=True)),
    Story("a pension", "My pension was not paid and I cannot buy food.", _facts(LATE, "940.00", days_without=3, essential=True)),
    Story("a hearing aid", "My hearing aid stopped working after your repair. I am 91 and cannot call.", _facts(DAMAGED, "60.00", vulnerable=True)),
    Story("a care home", "Nobody answered the bell of my mother for two hours. She is not able to get up.", _facts(LATE, vulnerable=True, safety=True)),
    Story("a clinic", "The man at your desk was rude to my daughter and she was treated terribly.", _facts(CONDUCT)),
    Story("a taxi", "Your driver refused to take my guide dog.", _facts(CONDUCT, "18.00", vulnerable=True)),
    Story("again the same", "For the third time you sent the wrong size.", _facts(DAMAGED, "55.00", our_failures=3, days_without=12)),
    Story("broken glass", "Das Glas ist zerbrochen angekommen.", _facts(DAMAGED, "19.90")),
    Story("une lampe", "La lampe est arrivée cassée, et je n'ai toujours pas reçu de réponse.", _facts(DAMAGED, "49.00", our_failures=2)),
    Story("el paquete", "El paquete nunca llegó.", _facts(LATE, "30.00", days_without=9)),
    Story("praise", "The new strings sound lovely. Thank you so much, you made my day!"),
    Story("praise for a person", "Your colleague Bob was wonderful and so helpful. Kudos to him."),
    Story("opening hours", "Could you tell me when you open on Saturday?"),
    Story("a wish", "I would love to hear the new dulcimer one day."),
    Story("an order", "I would like to order two bags of coffee, please."),
    Story("a new address", "We moved house last week. Our new address is 12 High Street."),
    Story("angry words about something else", "What a stupid football match yesterday! Do you sell flags?"),
)  # fmt: skip

"""The same scene in other words, so that the text encoder learns what each word means and not whole sentences.

With one fixed sentence per scene, the model learned the 20 scenes of the train split by heart and showed a city for
"in a forest at sunset", a combination that it had never read. [ours]
"""

from ..procdance.scene import PLACES, TIMES

FULL_SHARE = 0.5  # of captions that stay as they are; the rest is shared by the other wordings


def wordings(caption: str) -> list[str]:
    """The caption itself first, then: time first, bare words, place alone, time alone."""
    place = next((words for words in PLACES.values() if words in caption), None)
    time = next((words for words in TIMES.values() if words in caption), None)
    if place is None or time is None:
        return [caption] * 5
    subject, shot = caption.split(f" {place} {time}")
    return [
        caption,
        f"{time} {place}, {subject}{shot}",
        f"{place} {time}",
        f"{subject} {place}{shot}",
        f"{subject} {time}{shot}",
    ]

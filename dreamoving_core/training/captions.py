"""The same scene in other words, so that the text encoder learns what each word means and not whole sentences.

With one fixed sentence per scene, a model learned the 20 scenes of the train split by heart and showed a city for
"in a forest at sunset", a combination that it had never read. [ours]
"""

from ..procdance.scene import LIGHTS, PLACES

FULL_SHARE = 0.5  # of captions that stay as they are; the rest is shared by the other wordings


def wordings(caption: str) -> list[str]:
    """The caption itself first, then: light first, bare words, place alone, light alone."""
    place = next((words for words in PLACES.values() if words in caption), None)
    light = next((light.words for light in LIGHTS.values() if light.words in caption), None)
    if place is None or light is None:
        return [caption] * 5
    subject, shot = caption.split(f" {place} {light}")
    return [
        caption,
        f"{light} {place}, {subject}{shot}",
        f"{place} {light}",
        f"{subject} {place}{shot}",
        f"{subject} {light}{shot}",
    ]

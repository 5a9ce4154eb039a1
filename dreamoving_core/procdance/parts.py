"""What a pixel can belong to: labels (what it shows) and bones (what it moves with)."""

LABELS = ("background", "skin", "hair", "top", "bottom", "shoes", "eyes", "mouth", "brows", "glasses")
BACKGROUND, SKIN, HAIR, TOP, BOTTOM, SHOES, EYES, MOUTH, BROWS, GLASSES = range(len(LABELS))

# A limb's bone has the left side's number; add 1 for the right side. Bone 0 does not move.
TORSO, PELVIS, HEAD = 1, 2, 3
UPPER_ARM, FOREARM, HAND, THIGH, SHIN, FOOT = range(4, 16, 2)
NUM_BONES = 16

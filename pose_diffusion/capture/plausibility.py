"""How far a detected hand is to be believed: MediaPipe gives every hand that it reports a confidence of 1."""
from __future__ import annotations

import numpy as np

from pose_diffusion.capture.draft import HAND_BONES, HAND_PARTS, Signer

# What is usual: 99 % of the hand frames of undamaged clips, or more, lie below each limit in most sources.
MISMATCH = .25  # shoulder widths between the hand's wrist and the body's
LONGER, SHORTER = .35, .7  # mean ln of a bone's length over its usual one, of the longer, of the shorter bones
ACCELERATION = .3  # shoulder widths per frame and frame, at 25 frames per second, relative to the arm
RATE = 25.0  # frames per second: at fewer the same movement accelerates more from frame to frame
LEAST = .05  # what is left of the confidence of the most implausible hand: it survives writing
ENOUGH = 8  # hand frames, of which a bone's usual length can be told
SHORTEST = .005  # shoulder widths: a shorter bone counts as this


def plausibility(signer: Signer) -> np.ndarray:
    """A factor for the confidence of each hand.

    With the wrist's `mismatch` m, the bones' errors b+ and b- (`bone_errors`) and the `acceleration` a,

        factor = max(LEAST, exp(-sum of max(0, v / limit - 1) over v / limit in
                                (m / MISMATCH, b+ / LONGER, b- / SHORTER, a / (ACCELERATION * rate))))

    where rate = max(1, (25 / fps)^2). So a hand within all limits has a factor of exactly 1, one at twice a limit
    1/e. A measure that cannot be taken counts as 0.

    Parameters
    ----------
    signer : Signer
        A person.

    Returns
    -------
    np.ndarray
        `(T, 2)` float64 from `LEAST` to 1; 1 where there is no hand.
    """
    mismatch, _ = signer.mismatch()
    longer, shorter = bone_errors(signer)
    rate = max(1.0, (RATE / signer.fps)**2)
    excess = np.zeros(mismatch.shape)
    for value, limit in ((mismatch, MISMATCH), (longer, LONGER), (shorter, SHORTER),
                         (acceleration(signer), ACCELERATION * rate)):
        excess += np.maximum(0, value / limit - 1)
    return np.maximum(LEAST, np.exp(-excess))


def bone_errors(signer: Signer) -> tuple[np.ndarray, np.ndarray]:
    """How much longer and shorter than usual the bones of a hand are.

    A bone's usual length is its median over the clip, of both hands together. The errors are the means over all bones
    seen of max(0, r) and of max(0, -r), r = ln(length / usual). Points that jitter only lengthen bones; a hand that is
    seen from the side, or has collapsed, shortens them. Lengths are in 3D where the pose has z.

    Parameters
    ----------
    signer : Signer
        A person.

    Returns
    -------
    tuple of np.ndarray
        `(T, 2)` each; 0 where no bone is seen, or in fewer than `ENOUGH` hands of the clip.
    """
    depth = np.stack([signer.depth[:, part] for part in HAND_PARTS], axis=1)
    xyz, seen = np.concatenate([signer.hands, depth[..., None]], axis=-1), signer.hands_seen
    a, b = HAND_BONES.T
    both = seen[:, :, a] & seen[:, :, b]
    length = np.maximum(np.linalg.norm(xyz[:, :, a] - xyz[:, :, b], axis=-1), np.float32(SHORTEST))
    ratio = np.zeros(both.shape)
    for bone in range(len(a)):
        where = both[..., bone]
        if where.sum() >= ENOUGH:
            ratio[where, bone] = np.log(length[where, bone] / np.median(length[where, bone]))
    number = np.maximum(both.sum(-1), 1)
    return np.maximum(ratio, 0).sum(-1) / number, np.maximum(-ratio, 0).sum(-1) / number


def acceleration(signer: Signer) -> np.ndarray:
    """How much a hand shakes on its arm: the least of the accelerations that a frame has a part in.

    The acceleration of frame t is |x(t+1) - 2 x(t) + x(t-1)|, x being the mean of the hand's points relative to the
    body's wrist. A hand that jumps for one frame accelerates in the frames beside it as well; by the least of three
    only the frame is blamed that has jumped.

    Parameters
    ----------
    signer : Signer
        A person.

    Returns
    -------
    np.ndarray
        `(T, 2)` shoulder widths per frame and frame; 0 where the hand or the wrist is not seen in three frames on end.
    """
    seen = signer.hands_seen.any(-1) & signer.wrists_seen
    number = np.maximum(signer.hands_seen.sum(-1), 1)[..., None]
    x = signer.hands.sum(2) / number - signer.wrists
    known = seen.copy()
    known[1:-1] &= seen[2:] & seen[:-2]
    known[[0, -1]] = False
    padded = np.full((len(x) + 2, 2), np.inf)
    padded[2:-2] = np.linalg.norm(x[2:] - 2 * x[1:-1] + x[:-2], axis=-1)
    padded[1:-1][~known] = np.inf
    least = np.minimum(np.minimum(padded[:-2], padded[1:-1]), padded[2:])
    return np.where(seen & np.isfinite(least), least, 0)

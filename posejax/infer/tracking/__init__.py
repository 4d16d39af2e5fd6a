"""Who is who from frame to frame: ids that stay, points that don't tremble, and where to look next."""

from posejax.infer.tracking.follow import Follower
from posejax.infer.tracking.one_euro import Smoothing
from posejax.infer.tracking.tracker import Tracker

__all__ = ['Follower', 'Smoothing', 'Tracker']

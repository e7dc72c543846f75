"""Redis, which is optional and never holds state: it wakes servers, and holds what can be lost at any moment.

Nothing here raises into its callers, and a Redis that is away costs them nothing: see `connection`. Needs the extra `redis`.
"""

from assay.redis.bucket import Buckets, Drawn
from assay.redis.channel import Channel
from assay.redis.connection import Redis
from assay.redis.subscription import Subscription

__all__ = ["Buckets", "Channel", "Drawn", "Redis", "Subscription"]

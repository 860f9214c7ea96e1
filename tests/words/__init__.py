"""The catalogues of what customers read: what belongs into them, and how they are written."""

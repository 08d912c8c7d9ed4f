"""What is open is kept while it is open, and comes back: scans, labels, marks, views, docks.

Keeping begins as soon as one of our widgets is docked in a window or a scan is opened by our
reader or as our sample. Each window has a session of its own, held by a lock that ends with
the process; at most the last two seconds are lost if it is killed.
"""

from napari_mrissl.ui.session.keeper import SessionKeeper, keep
from napari_mrissl.ui.session.offer import offer_in
from napari_mrissl.ui.session.strip import ReopeningStrip, reopen

__all__ = ["ReopeningStrip", "SessionKeeper", "keep", "offer_in", "reopen"]

"""A dataset where everything is known: twenty drawn classes of look-alikes, as a workspace that is ready to train."""

"""Papers for people: what was found, written as files that open anywhere."""

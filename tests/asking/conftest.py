from tests.backends.conftest import no_keys, short_waits, store

__all__ = ["no_keys", "short_waits", "store"]

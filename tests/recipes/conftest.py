from tests.training.conftest import reopen, workspace

__all__ = ["reopen", "workspace"]

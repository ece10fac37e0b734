from tests.contracts.written_before import copied

__all__ = ["copied"]

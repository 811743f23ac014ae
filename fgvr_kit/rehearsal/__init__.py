"""What would be sent, without sending it; what was sent before; and what hangs on it."""

"""What every API answer shares: who is asking, strict JSON, one error shape."""

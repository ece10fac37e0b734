"""How an answer is read: where it stands in a response, and which number or choice it names."""

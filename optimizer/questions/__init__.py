"""How questions to the optimizer model are put together, and how its replies are read."""

"""The live stream: one reader of the warehouse, however many listen."""

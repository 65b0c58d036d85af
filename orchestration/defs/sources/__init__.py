"""What comes in: tables of the source, their copies, tables of the technical-analysis pipeline."""

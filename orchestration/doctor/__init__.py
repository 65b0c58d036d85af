"""The doctor room: checks of configuration, source, warehouse and machine, each with what to do about a failure."""

"""The processes that compute steps, one library each.

`loop` is the program that such a process runs; it takes the step itself from one of the modules `*_steps`, each with a
function `prepare(spec) -> step`. All of them are run by their path and not imported, so that a process holds its own
library and nothing of the others'.
"""

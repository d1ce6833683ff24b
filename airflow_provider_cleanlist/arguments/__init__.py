"""Arguments of operators: which were given, and what their values say at run time."""

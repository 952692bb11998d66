"""The command line: it translates flags and output, it never decides."""

"""The programs are run as processes: there is nothing in them for pytest to import."""

collect_ignore = ["programs"]

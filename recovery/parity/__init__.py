"""The parity report: were customers treated alike, whichever channel they used?

Pure: files and arrays in, numbers and a page out; no database, no models, no clock. numpy and scipy are imported by the
modules of this package alone, so nothing heavy is loaded until a report is asked for. The method is told in
docs/parity.md.
"""


class Unusable(Exception):
    """The input cannot be reported on; the text is one line that says why and what to do."""

    code = "unusable_input"

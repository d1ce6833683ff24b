"""The CSV export of a lead list: its signed address, the download, its cells."""

"""What came out: trials of several sets of photos, figures of their pictures, and verdicts."""

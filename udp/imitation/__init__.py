"""What the imitator does: cleans the photos, fine-tunes on them, and asks for pictures."""

"""How the embedded models were made: data, renders and training. The app needs none of it."""

"""What the app shows: its words in two languages, its figures and its panels. Stands above `cxr`, below `app.py`."""

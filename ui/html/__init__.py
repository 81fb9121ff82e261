"""What is shown: HTML from templates (Jinja2, autoescape) and the values that go into them. No Gradio here."""

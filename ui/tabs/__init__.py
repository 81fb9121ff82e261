"""What is clicked: the tabs of the page, laid out and wired with Gradio. What they show, `ui.html` writes."""

"""What it costs to start, answer, score and train: ours, a straightforward way of doing it, and nothing at all.

python -m benchmarks (make bench) measures them side by side in one run, turn by turn, so that a busy machine slows all
of them alike; what counts are the ratios.

    ours    app.py, evaluation score, trainer
    naive   load_model, model.predict, gr.Interface, ImageDataGenerator: written as most Spaces and scripts are
    empty   a Gradio app that takes the same upload and computes nothing: the limit of what an app can be
"""

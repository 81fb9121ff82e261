"""The app as it is mostly written: Keras loads the model, gr.Interface shows it, model.predict answers."""

import os

import gradio as gr
import keras
import numpy as np
from PIL import Image

model = keras.models.load_model(os.environ["BENCHMARK_MODEL"], compile=False)
size = model.input_shape[1]


def predict(image: Image.Image) -> dict[str, float]:
    pixels = np.asarray(image.convert("L").resize((size, size)), np.float32) / 255
    probability = float(model.predict(pixels[None, ..., None], verbose=0)[0, 0])
    return {"PNEUMONIA": probability, "NORMAL": 1 - probability}


demo = gr.Interface(predict, gr.Image(type="pil"), gr.Label(), api_name="predict")

if __name__ == "__main__":
    demo.launch()

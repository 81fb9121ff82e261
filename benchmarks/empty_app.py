"""A Gradio app with our endpoint's upload and answer that computes nothing."""

import gradio as gr


def predict(image: bytes) -> dict[str, int]:
    return {"bytes": len(image)}


with gr.Blocks() as demo:
    upload = gr.File(type="binary", label="image")
    answer = gr.JSON()
    gr.Button().click(predict, upload, answer, api_name="predict")

if __name__ == "__main__":
    demo.launch()

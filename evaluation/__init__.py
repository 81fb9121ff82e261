"""Model + labelled radiographs -> predictions -> figures with intervals, plots and a report.

Every figure goes through `cxr.model.predictor`, the code that serves, and can be recomputed from predictions.csv.
"""

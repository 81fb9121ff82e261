"""python -m evaluation score --engine ray: the same answers from many workers, on this machine or on a cluster.

addresses   FILES -> names of films: a folder, a glob, or an address that fsspec knows (s3://, gs://, hf://, ...)
parts       the folder of answers: CSV and Parquet in parts, each whole or not there
worker      one actor: a warm predictor that answers for the films of a part
score       the driver: hands out the films that have no answer yet, and writes the parts as they come
"""

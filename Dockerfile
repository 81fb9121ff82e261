# The app and the evaluation for a hospital: no network at run time, no root, a root file system that is read only.
# docs/deploy.md says how to run it; deploy/install.sh, which does the work, was run in a fresh virtual environment.

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN pip install --no-cache-dir uv
COPY . .
RUN sh deploy/wheelhouse.sh /wheelhouse python && sh /wheelhouse/install.sh /opt/cxr python

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 cxr \
    && useradd --uid 10001 --gid cxr --no-create-home --home-dir /tmp --shell /usr/sbin/nologin cxr
COPY --from=build /opt/cxr /opt/cxr
# Whatever is written goes to /tmp, which compose.yaml keeps in memory.
ENV PATH=/opt/cxr/venv/bin:$PATH \
    HOME=/tmp \
    TMPDIR=/tmp \
    GRADIO_TEMP_DIR=/tmp/gradio \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /opt/cxr/app
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["python", "/opt/cxr/healthcheck.py"]
CMD ["python", "app.py"]

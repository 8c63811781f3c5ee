# Three targets: api (no training framework), worker (CPU), worker-gpu (CUDA, x86-64).
#   docker build --target api --tag penumbra-api .
# Only plain instructions, so that any builder will do. Behind a mirror: --build-arg PIP_INDEX_URL=...

ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS python
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/penumbra/bin:$PATH

# Packages, each layer on the one before; what changes rarely comes first.
FROM python AS packages
ARG PIP_INDEX_URL
WORKDIR /build
RUN python -m venv /opt/penumbra
COPY requirements/base.lock requirements/base.lock
RUN pip install --require-hashes -r requirements/base.lock

FROM packages AS packages-worker
ARG PIP_INDEX_URL
COPY requirements/worker.lock requirements/worker.lock
RUN pip install --require-hashes -r requirements/worker.lock

FROM packages-worker AS packages-worker-gpu
ARG PIP_INDEX_URL
COPY requirements/worker-gpu.lock requirements/worker-gpu.lock
RUN pip install --require-hashes -r requirements/worker-gpu.lock

# The project itself, as one wheel.
FROM python AS wheel
ARG PIP_INDEX_URL
WORKDIR /build
RUN python -m venv /opt/penumbra
COPY requirements/build.lock requirements/build.lock
RUN pip install --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY workers workers
COPY migrations migrations
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM packages AS installed-api
COPY --from=wheel /wheels /wheels
RUN pip install --no-index --no-deps /wheels/*.whl

FROM packages-worker AS installed-worker
COPY --from=wheel /wheels /wheels
RUN pip install --no-index --no-deps /wheels/*.whl

FROM packages-worker-gpu AS installed-worker-gpu
COPY --from=wheel /wheels /wheels
RUN pip install --no-index --no-deps /wheels/*.whl

# What runs: no compiler, no pip cache, no root. The folders are made here so that new volumes belong to the account.
FROM python AS runtime
RUN groupadd --system --gid 10001 penumbra \
    && useradd --system --uid 10001 --gid penumbra --no-create-home --shell /usr/sbin/nologin penumbra \
    && install --directory --owner penumbra --group penumbra --mode 0750 \
        /var/lib/penumbra /var/lib/penumbra/blobs /var/lib/penumbra/weights /var/lib/penumbra/cache
# The last is a folder's name, no secret.
# hadolint ignore=DL3064
ENV HOME=/tmp \
    KERAS_HOME=/tmp/keras \
    PENUMBRA_DATA_DIR=/var/lib/penumbra \
    PENUMBRA_SECRETS_DIR=/run/secrets
WORKDIR /var/lib/penumbra
USER 10001:10001

FROM runtime AS api
COPY --from=installed-api /opt/penumbra /opt/penumbra
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["penumbra", "api", "--host", "0.0.0.0", "--port", "8000"]

FROM runtime AS worker
COPY docker/worker_alive.py /opt/worker_alive.py
COPY --from=installed-worker /opt/penumbra /opt/penumbra
HEALTHCHECK --interval=30s --timeout=15s --start-period=180s --retries=3 CMD ["python", "/opt/worker_alive.py"]
CMD ["python", "-m", "workers", "extract"]

FROM runtime AS worker-gpu
COPY docker/worker_alive.py /opt/worker_alive.py
COPY --from=installed-worker-gpu /opt/penumbra /opt/penumbra
HEALTHCHECK --interval=30s --timeout=15s --start-period=300s --retries=3 CMD ["python", "/opt/worker_alive.py"]
CMD ["python", "-m", "workers", "extract"]

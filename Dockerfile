# Two stages: the first builds the virtual environment, the second has only what runs.
FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt .
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --require-hashes --requirement requirements.txt

FROM python:3.13-slim-trixie
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ENVIRONMENT=production \
    HOST=0.0.0.0 PORT=8000 DATA_DIR=/data
RUN useradd --system --uid 10001 --home-dir /service --shell /usr/sbin/nologin service \
    && install --directory --owner service --mode 700 /data
WORKDIR /service
COPY --from=build /opt/venv /opt/venv
COPY alembic.ini LICENSE ./
COPY alembic alembic
COPY app app
USER service
VOLUME /data
EXPOSE 8000
# For a container that serves. One that runs `python -m app worker` has no /health: start it with --no-healthcheck. It asks
# whether the process answers, and not how the database is: whoever restarts what is unhealthy would restart them all.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/health/live\", timeout=4)"]
CMD ["python", "-m", "app", "serve"]

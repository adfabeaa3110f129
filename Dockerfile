# One image for every process: the API by default, worker, Flower and migrations by command.

FROM node:22-slim AS web
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm run vendor

FROM python:3.13-slim AS build
WORKDIR /app
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements-otel.txt requirements-s3.txt requirements-dev.txt ./
RUN pip install --require-hashes -r requirements-otel.txt -r requirements-s3.txt
COPY pyproject.toml README.md LICENSE ./
COPY alembic alembic
COPY api api
COPY --from=web /app/api/web/vendor api/web/vendor
COPY workers workers
# The build backend, alone out of the development packages, comes with its hash too, and leaves again.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt > build.txt \
 && pip install --require-hashes -r build.txt \
 && pip install --no-deps --no-build-isolation --editable . \
 && pip uninstall --yes setuptools \
 && rm build.txt requirements-otel.txt requirements-s3.txt requirements-dev.txt

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin verbatim
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=3)"]
CMD ["python", "-m", "api.local.serve"]

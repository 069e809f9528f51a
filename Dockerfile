# DFML Studio on the processor. For a GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 or newer, and
# `docker run --gpus all`. docs/container.md tells the rest.
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
COPY requirements.txt ./
# Torch first, from the index of its build: what is new enough stays.
RUN pip install --no-cache-dir torch torchvision --index-url "$TORCH_INDEX" \
    && pip install --no-cache-dir -r requirements.txt

# All of it is root's, so the app cannot change its own code.
COPY . ./
RUN python -m compileall -q app.py pages dfml \
    && useradd --create-home --uid 1000 dfml \
    && install -d -o dfml -g dfml /data

USER dfml
ENV DFML_STATE=/data PORT=7860
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["python", "docker/healthy.py"]
ENTRYPOINT ["sh", "docker/start.sh"]

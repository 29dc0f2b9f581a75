# docker build -t caco_ext . && docker run --gpus all --shm-size 8g -it caco_ext
# How much --shm-size a run needs: docs/distributed.md.
FROM python:3.11-slim

# gcc for what has no wheel; libgl1 and libglib2.0-0 for OpenCV.
RUN apt-get update && \
    apt-get install -y --no-install-recommends gcc g++ git libgl1 libglib2.0-0 && \
    rm -rf /var/lib/apt/lists/*

WORKDIR /workspace/caco_ext
COPY . .
# torch's wheel carries CUDA's libraries; the driver is the host's.
RUN PIP_NO_CACHE_DIR=1 bash tools/setup_env.sh
ENV PATH=/workspace/caco_ext/.venv/bin:$PATH
CMD ["bash"]

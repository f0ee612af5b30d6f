#!/bin/sh
# vLLM in an environment of its own: deploy/vllm/install.sh PYTHON FOLDER [cpu|gpu], by default what this machine has.
# Its torch, transformers and some 140 more need not be those of the rest, and never share a folder with them.
set -eu
python=$1 folder=$2 here=$(dirname "$0")
kind=${3:-$(command -v nvidia-smi >/dev/null && echo gpu || echo cpu)}
rm -rf "$folder/.installed"
"$python" -m venv --clear "$folder"
pip="$folder/bin/python -m pip --disable-pip-version-check --quiet"
echo "Installing vLLM for the $kind into $folder (some GB, a few minutes) …"
if [ "$kind" = gpu ]; then
	$pip install "$(grep '^vllm==' "$here/requirements-gpu.lock")" -c "$here/requirements-gpu.lock"
else
	$pip install torch==2.13.0
	$pip install --no-deps -r "$here/requirements-cpu.lock"
fi
# found now rather than when the first model should start
"$folder/bin/python" -c "import vllm; print('vLLM', vllm.__version__)"
touch "$folder/.installed"

"""`make bench-serve`: how fast many adapters answer on one frozen base, against plain PEFT on the same cores.

The real runtime (`python -m worker.inference`) answers over HTTP, on the bundled model; adapters lie on a file server
on this machine, as they would in an object store. What is trained is of no interest: weights are random, every answer
has the same length. PEFT switches adapters and generates one request after another, in a process of its own.
"""

import asyncio
import functools
import http.server
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import psutil  # noqa: E402
import serve_adapters  # noqa: E402

from core.base_models import service as base_models  # noqa: E402
from core.config import Settings  # noqa: E402
from core.errors import AppError  # noqa: E402
from core.inference.client import InferenceClient  # noqa: E402
from core.inference.types import AdapterRef, ChatRequest, Message, ProofRequest, Sampling  # noqa: E402
from core.stack.figures import write_figures  # noqa: E402
from worker.base_models import prepare  # noqa: E402

_RESULTS = ROOT / "bench" / "results" / "serve.json"
NUM_HOT, NUM_REGISTERED, NUM_FRESH = 64, 1000, 5
NUM_TOKENS = 32
_AT_ONCE = 16
_NUM_PEFT = 12
_PROMPT = "What does the clinic do when a claim is late? Answer in one sentence."
_RANKS = (4, 8, 16, 32)


def main() -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as name, _file_server(Path(name) / "store") as store:
        home = Path(name) / "home"
        base = prepare(Settings(home=home), base_models.default_base_model().id)
        hot = [
            serve_adapters.make(base, store.folder / f"hot-{at}", seed=at, rank=_RANKS[at % 4]) for at in range(NUM_HOT)
        ]
        fresh = [serve_adapters.train(base, store.folder / f"fresh-{at}", seed=at) for at in range(NUM_FRESH)]
        many = serve_adapters.make_many(base, store.folder, NUM_REGISTERED)
        bench = Bench(home, store)
        figures: dict[str, float] = {}
        runs: list[dict[str, object]] = []
        for measure in (bench.speed, bench.first_tokens, bench.thousand):
            found, run = measure({"hot": hot, "fresh": fresh, "many": many})
            figures |= found
            runs.append(run)
            print(json.dumps(run), flush=True)
        peft_s = _peft(base, hot[:_NUM_PEFT])
        runs.append({"measured": "peft", "tokens_per_second": round(peft_s, 2), "requests": _NUM_PEFT})
        speed = runs[0]
        figures["mixed64_vs_peft"] = round(float(str(speed["mixed_tokens_per_second"])) / peft_s, 3)
    figures["bench_s"] = round(time.monotonic() - started, 1)
    write_figures(_RESULTS, packages=("torch", "transformers", "peft"), figures=figures, runs=runs)
    print(json.dumps(figures, indent=2))


class Store:
    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self._url = folder, url

    def ref(self, adapter: Path) -> AdapterRef:
        return serve_adapters.reference(adapter, f"{self._url}/{adapter.name}")


Found = tuple[dict[str, float], dict[str, object]]
Adapters = dict[str, list[Path]]


class Bench:
    def __init__(self, home: Path, store: Store) -> None:
        self._home, self._store = home, store

    def speed(self, adapters: Adapters) -> Found:
        """Tokens a second of 64 requests: each for an adapter of its own, or all for one; in turns, the best of two."""
        mixed = [self._store.ref(path) for path in adapters["hot"]]
        with self._runtime() as client:
            _ask_all(client, mixed)  # all are loaded, and the caches warm
            best = {"mixed": 0.0, "one": 0.0}
            for _ in range(2):
                for name, wanted in (("one", [mixed[2]] * NUM_HOT), ("mixed", mixed)):
                    began = time.monotonic()
                    _ask_all(client, wanted)
                    best[name] = max(best[name], NUM_HOT * NUM_TOKENS / (time.monotonic() - began))
        run = {"measured": "speed", **{f"{name}_tokens_per_second": round(rate, 2) for name, rate in best.items()}}
        return {"mixed64_vs_one": round(best["mixed"] / best["one"], 3)}, run

    def first_tokens(self, adapters: Adapters) -> Found:
        """From a published adapter that nobody asked for yet, with its proof; and from one that is on this disk."""
        published: list[float] = []
        differences: list[float] = []
        request = _request(None, num_tokens=1)
        with self._runtime() as client:
            client.chat(request)
            for path in adapters["fresh"]:
                ref = self._store.ref(path)
                began = time.monotonic()
                proof = client.prove(ProofRequest(base_model=request.base_model, adapter=ref))
                client.chat(_request(ref, num_tokens=1))
                published.append(time.monotonic() - began)
                if not proof.is_passed or proof.max_difference is None:
                    raise RuntimeError(f"{path.name} was not proved: {proof.reason}")
                differences.append(proof.max_difference)
        cached: list[float] = []
        with self._runtime() as client:  # a new process: nothing is in memory, all is on disk
            client.chat(request)
            for path in [*adapters["fresh"], *adapters["hot"][:15]]:
                ref = self._store.ref(path)
                began = time.monotonic()
                client.chat(_request(ref, num_tokens=1))
                cached.append(time.monotonic() - began)
        figures = {
            "publish_to_first_token_s": round(max(published), 3),
            "cached_first_token_ms": round(1000 * statistics.median(cached), 1),
            "proof_max_difference": max(differences),
        }
        run = {"measured": "first_tokens", "published_s": published, "cached_s": cached, "differences": differences}
        return figures, run

    def thousand(self, adapters: Adapters) -> Found:
        """A request for each of 1,000 adapters, with room in memory for 64 of them."""
        refs = [self._store.ref(path) for path in adapters["many"]]
        room = NUM_HOT * serve_adapters.bytes_in_memory(adapters["many"][0])
        with self._runtime(max_adapter_bytes=room) as client:
            _ask_all(client, refs[:NUM_HOT], num_tokens=2)
            process = psutil.Process(self._pid)
            before = process.memory_info().rss
            began = time.monotonic()
            failed = _ask_all(client, refs, num_tokens=2, may_fail=True)
            seconds = time.monotonic() - began
            grown = process.memory_info().rss - before
            num_hot = len(client.health().adapters)
        figures = {"failed_of_1000": float(failed), "thousand_memory_growth_mb": round(grown / 1e6, 1)}
        run = {"measured": "thousand", "seconds": round(seconds, 1), "adapters_in_memory": num_hot, "failed": failed}
        return figures, run

    @contextmanager
    def _runtime(self, *, max_adapter_bytes: int | None = None) -> Iterator[InferenceClient]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        env = os.environ | {
            "TAILORBIRD_HOME": str(self._home),
            "TAILORBIRD_INFERENCE_URL": url,
            "TAILORBIRD_INFERENCE_TOKEN": "bench",
            "PYTHONPATH": str(ROOT),
        }
        if max_adapter_bytes is not None:
            env["TAILORBIRD_MAX_ADAPTER_BYTES"] = str(max_adapter_bytes)
        process = subprocess.Popen([sys.executable, "-m", "worker.inference"], env=env)
        self._pid = process.pid
        client = InferenceClient(Settings(home=self._home, inference_url=url, inference_token="bench"))  # noqa: S106
        try:
            _until_ready(client)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait(30)


def _until_ready(client: InferenceClient) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if client.health().status == "ready":
                return
        except AppError:
            pass
        time.sleep(0.2)
    raise RuntimeError("the runtime did not become ready")


def _request(ref: AdapterRef | None, *, num_tokens: int, workspace: int = 0) -> ChatRequest:
    """Every answer has all of its tokens: the one that would end it is forbidden."""
    return ChatRequest(
        base_model=base_models.default_base_model().id,
        messages=(Message(role="user", content=_PROMPT),),
        adapter=ref,
        sampling=Sampling(max_tokens=num_tokens, temperature=0, logit_bias={0: -100, 1: -100, 2: -100}),
        workspace_id=f"ws_{workspace}",
    )


def _ask_all(
    client: InferenceClient, refs: Sequence[AdapterRef], *, num_tokens: int = NUM_TOKENS, may_fail: bool = False
) -> int:
    """Each adapter once, 16 at a time; how many failed."""

    async def one(at: int, ref: AdapterRef, places: asyncio.Semaphore) -> bool:
        async with places:
            try:
                async with aclosing(client.stream(_request(ref, num_tokens=num_tokens, workspace=at % 8))) as pieces:
                    last = None
                    async for piece in pieces:
                        last = piece
            except AppError:
                if not may_fail:
                    raise
                return True
            if last is None or last.usage is None or (last.usage.completion_tokens != num_tokens and not may_fail):
                raise RuntimeError(f"an answer has another length: {last}")
            return False

    async def everybody() -> list[bool]:
        places = asyncio.Semaphore(_AT_ONCE)
        return await asyncio.gather(*(one(at, ref, places) for at, ref in enumerate(refs)))

    return sum(asyncio.run(everybody()))


def _peft(base: Path, adapters: Sequence[Path]) -> float:
    """Tokens a second of plain PEFT: switch, generate, next."""
    argv = [sys.executable, str(Path(__file__).with_name("serve_peft.py")), str(base), str(NUM_TOKENS), _PROMPT]
    done = subprocess.run([*argv, *map(str, adapters)], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(json.loads(done.stdout.strip().splitlines()[-1])["tokens_per_second"])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def _file_server(folder: Path) -> Iterator[Store]:
    folder.mkdir(parents=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Store(folder, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

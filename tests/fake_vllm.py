"""A stand-in for vLLM's server: its interface as far as we use it, and its ways to fail.

`python fake_vllm.py --port N --served-model-name base` serves; other arguments are as vLLM's.

Its log-probabilities follow from the weights that speak and from what they are asked.

With `--trouble FOLDER` each chat takes the first file that lies there, and something goes wrong as
the file is called after its number: 003-500 is an error, 004-half an answer that breaks off.  Where
deaf-PORT lies there, new adapters are listed and speak as those before them did; where drowsy does,
it hangs when it is to wake.  With `--latency S` each answer takes so long.
"""

import argparse
import asyncio
import os
import sys
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

ADAPTERS: dict[str, str] = {}
PARSER = argparse.ArgumentParser()
PARSER.add_argument("--port", type=int)
PARSER.add_argument("--served-model-name")
PARSER.add_argument("--model", default="")
PARSER.add_argument("--fail", default="")
PARSER.add_argument("--trouble", type=Path)
PARSER.add_argument("--latency", type=float, default=0.0)
OPTIONS, REST = PARSER.parse_known_args()
BASE: str = OPTIONS.served_model_name
NOW: dict[str, Any] = {
    "weights": OPTIONS.model,
    "version": "default",
    "running": 0,
    "chats": 0,
    "asleep": False,
    "naps": 0,
    "clung": False,
    "answered": 0,
    "latencies": 0.0,
    "method": "",
}


def refuse(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


async def health(request: web.Request) -> web.Response:
    return web.Response()


async def models(request: web.Request) -> web.Response:
    cards = [{"id": name, "root": path, "parent": BASE} for name, path in ADAPTERS.items()]
    # A base model has no parent; that it stands first is nothing to rely on.
    base = {"id": BASE, "root": OPTIONS.model, "parent": None, "max_model_len": 2048}
    return web.json_response({"object": "list", "data": [*cards, base]})


async def load(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    name, path = body["lora_name"], body["lora_path"]
    if "--enable-lora" not in REST:
        return refuse(400, "LoRA is not enabled. Use --enable-lora to enable LoRA.")
    if name in ADAPTERS:
        return refuse(400, f"The lora adapter '{name}' has already been loaded.")
    if path.endswith("nowhere"):
        return refuse(404, f"No adapter found for {path}")
    if path.endswith("huge"):
        return refuse(500, "LoRA rank 64 is greater than max_lora_rank 32.")
    if OPTIONS.trouble and (OPTIONS.trouble / f"deaf-{OPTIONS.port}").exists():
        own = (old for label, old in ADAPTERS.items() if label.split("@")[0] == name.split("@")[0])
        path = next(own, NOW["weights"])
    if not path.endswith("lost"):
        ADAPTERS[name] = path
    return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")


async def unload(request: web.Request) -> web.Response:
    name = orjson.loads(await request.read())["lora_name"]
    if ADAPTERS.pop(name, None) is None:
        return refuse(404, f"The lora adapter '{name}' cannot be found.")
    return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")


async def trouble(request: web.Request) -> web.StreamResponse | None:
    """Go wrong as the first file that lies there says; `None`: all is well."""
    files = sorted(OPTIONS.trouble.glob("[0-9]*")) if OPTIONS.trouble else []
    if not files:
        return None
    files[0].unlink()
    mood = files[0].name.partition("-")[2]
    if mood == "die":
        os._exit(1)
    if mood == "hang":
        await asyncio.sleep(3600)
    if mood == "forget":
        ADAPTERS.clear()
        return None
    if mood == "half":
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"model": "base", "choices": [{"mess')
        assert request.transport is not None
        request.transport.close()
        return response
    if mood == "garbled":
        return web.Response(body=b'{"model": "base", "choices": []}')
    if mood == "429":
        return web.json_response({"error": "slowly"}, status=429, headers={"Retry-After": "0.01"})
    return refuse(int(mood), "so it was to be")


async def chat(request: web.Request) -> web.StreamResponse:
    body: dict[str, Any] = orjson.loads(await request.read())
    NOW["running"] += 1
    NOW["chats"] += 1
    start = time.monotonic()
    try:
        await asyncio.sleep(OPTIONS.latency)
        reply = await trouble(request) or answer(body)
        NOW["answered"] += 1
        NOW["latencies"] += time.monotonic() - start
        return reply
    finally:
        NOW["running"] -= 1


def likely(model: str, words: str) -> list[float]:
    """Return the log-probabilities of two tokens."""
    who = ADAPTERS.get(model, NOW["weights"])
    found = blake2b(f"{who} {words}".encode(), digest_size=2).digest()
    return [-0.5 - byte / 1000 for byte in found]


def answer(body: dict[str, Any]) -> web.Response:
    said = body["messages"][-1]["content"]
    if said == "die":
        os._exit(1)
    if body["model"] not in (BASE, *ADAPTERS):
        return refuse(404, f"The model `{body['model']}` does not exist.")
    told = [
        {"token": f"token_id:{i}", "logprob": -i / 100} for i in body.get("logprob_token_ids", [])
    ]
    n, (first, second) = body["n"], likely(body["model"], said)
    about = {
        "body": body,
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        **NOW,
    }
    choices = [
        {
            "index": i,
            "message": {
                "role": "assistant",
                "content": orjson.dumps(about | {"seed": body["seed"] + i}).decode(),
            },
            "finish_reason": "stop",
            "logprobs": {
                "content": [{"logprob": first, "top_logprobs": told}, {"logprob": second}]
            },
            "token_ids": {"miscount": [7], "no ids": None}.get(said, [7, 2]),
        }
        for i in reversed(range(n))
    ]
    reply = {
        "model": {"betray": BASE, "nameless": None}.get(said, body["model"]),
        "choices": choices[n // 2 :] if said == "too few" else choices,
        "prompt_token_ids": [1, 5, 6],
        "usage": {
            "prompt_tokens": 4 if said == "overcount" else 3,
            "completion_tokens": 2 * n,
            "prompt_tokens_details": {"cached_tokens": 1},
        },
    }
    return web.json_response(reply)


async def tokenize(request: web.Request) -> web.Response:
    """A character is a token, and as likely as its number is low; a question is one, too."""
    asked = orjson.loads(await request.read())
    replies = "".join(said["content"] for said in asked.get("messages", ())[1:])
    text = asked.get("prompt", f"?{replies}")
    return web.json_response({"tokens": [ord(letter) for letter in text]})


async def complete(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    told = [
        {"prompt_logprobs": [None, *({str(i): {"logprob": -i / 100}} for i in ids[1:])]}
        for ids in body["prompt"]
    ]
    usage = {"prompt_tokens": sum(map(len, body["prompt"])), "completion_tokens": len(told)}
    return web.json_response({"model": body["model"], "choices": told, "usage": usage})


async def rpc(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    assert body["method"] in ("read_weights", "reload_weights")
    if body["method"] == "read_weights" and "moot.agents.serving.worker.Worker" not in sys.argv:
        return refuse(500, "'Worker' object has no attribute 'read_weights'")
    NOW["method"] = body["method"]
    path = body["kwargs"]["weights_path"]
    if path.endswith("broken"):
        return refuse(500, "safetensors: invalid header")
    NOW["weights"] = path
    return web.json_response({"results": [None]})


async def versioned(request: web.Request) -> web.Response:
    if not NOW["weights"].endswith("stubborn"):
        NOW["version"] = orjson.loads(await request.read())["new_version"]
    return web.json_response({"success": True})


async def about_weights(request: web.Request) -> web.Response:
    return web.json_response({"weight_version": NOW["version"]})


async def reset(request: web.Request) -> web.Response:
    """Forget, but where weights called held were read: not the first time."""
    clings = NOW["weights"].endswith("held") and not NOW["clung"]
    NOW["clung"] = NOW["clung"] or clings
    return web.json_response({"success": not clings})


async def sleep(request: web.Request) -> web.Response:
    drowsy = OPTIONS.trouble / "drowsy" if OPTIONS.trouble else None
    if drowsy is not None and request.path == "/wake_up" and drowsy.exists():
        drowsy.unlink()
        await asyncio.sleep(3600)
    NOW["asleep"] = request.path == "/sleep"
    NOW["naps"] += NOW["asleep"]
    return web.Response()


async def work(request: web.Request) -> web.Response:
    """Count as vLLM counts tokens, though nothing is answered."""
    NOW["answered"] += 1
    return web.Response()


async def metrics(request: web.Request) -> web.Response:
    label = f'{{engine="0",model_name="{BASE}"}}'
    numbers = {
        "num_requests_running": min(4, NOW["running"]),
        "num_requests_waiting": max(0, NOW["running"] - 4),
        "num_preemptions_total": 0,
        "prompt_tokens_total": NOW["answered"],
        "generation_tokens_total": NOW["answered"],
        "e2e_request_latency_seconds_count": NOW["answered"],
        "e2e_request_latency_seconds_sum": NOW["latencies"],
    }
    lines = [f"# TYPE vllm:{name} gauge\nvllm:{name}{label} {n}\n" for name, n in numbers.items()]
    return web.Response(text="".join(lines))


if __name__ == "__main__":
    if OPTIONS.fail:
        print(OPTIONS.fail, flush=True)
        sys.exit(1)
    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/load_lora_adapter", load)
    app.router.add_post("/v1/unload_lora_adapter", unload)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/tokenize", tokenize)
    app.router.add_post("/v1/completions", complete)
    app.router.add_post("/collective_rpc", rpc)
    app.router.add_post("/update_weight_version", versioned)
    app.router.add_get("/weight_info", about_weights)
    app.router.add_post("/reset_prefix_cache", reset)
    app.router.add_post("/sleep", sleep)
    app.router.add_post("/wake_up", sleep)
    app.router.add_get("/metrics", metrics)
    app.router.add_post("/work", work)
    web.run_app(app, host="127.0.0.1", port=OPTIONS.port, print=None)

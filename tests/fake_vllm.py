"""A stand-in for vLLM's server: its interface as far as we use it, and its ways to fail.

`python fake_vllm.py --port N --served-model-name base` serves; other arguments are as vLLM's.
"""

import argparse
import os
import sys
from typing import Any

import orjson
from aiohttp import web

ADAPTERS: dict[str, str] = {}
PARSER = argparse.ArgumentParser()
PARSER.add_argument("--port", type=int)
PARSER.add_argument("--served-model-name")
PARSER.add_argument("--fail", default="")
OPTIONS, REST = PARSER.parse_known_args()
BASE: str = OPTIONS.served_model_name


def refuse(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


async def health(request: web.Request) -> web.Response:
    return web.Response()


async def models(request: web.Request) -> web.Response:
    cards = [{"id": name, "root": path, "parent": BASE} for name, path in ADAPTERS.items()]
    # A base model has no parent; that it stands first is nothing to rely on.
    return web.json_response({"object": "list", "data": [*cards, {"id": BASE, "parent": None}]})


async def load(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    name, path = body["lora_name"], body["lora_path"]
    if name in ADAPTERS:
        return refuse(400, f"The lora adapter '{name}' has already been loaded.")
    if path.endswith("nowhere"):
        return refuse(404, f"No adapter found for {path}")
    if path.endswith("huge"):
        return refuse(500, "LoRA rank 64 is greater than max_lora_rank 32.")
    if not path.endswith("lost"):
        ADAPTERS[name] = path
    return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")


async def unload(request: web.Request) -> web.Response:
    name = orjson.loads(await request.read())["lora_name"]
    if ADAPTERS.pop(name, None) is None:
        return refuse(404, f"The lora adapter '{name}' cannot be found.")
    return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")


async def chat(request: web.Request) -> web.Response:
    body: dict[str, Any] = orjson.loads(await request.read())
    said = body["messages"][-1]["content"]
    if said == "die":
        os._exit(1)
    if body["model"] not in (BASE, *ADAPTERS):
        return refuse(404, f"The model `{body['model']}` does not exist.")
    told = [
        {"token": f"token_id:{i}", "logprob": -i / 100} for i in body.get("logprob_token_ids", [])
    ]
    about = {"body": body, "arguments": sys.argv[1:], "environment": dict(os.environ)}
    answer = {
        "model": BASE if said == "betray" else body["model"],
        "choices": [
            {
                "message": {"role": "assistant", "content": orjson.dumps(about).decode()},
                "finish_reason": "stop",
                "logprobs": {
                    "content": [{"logprob": -0.5, "top_logprobs": told}, {"logprob": -0.25}]
                },
                "token_ids": [7] if said == "miscount" else [7, 2],
            }
        ],
        "prompt_token_ids": [1, 5, 6],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    return web.json_response(answer)


async def tokenize(request: web.Request) -> web.Response:
    """A character is a token, and as likely as its number is low."""
    text = orjson.loads(await request.read())["prompt"]
    return web.json_response({"tokens": [ord(letter) for letter in text]})


async def complete(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    told = [
        {"prompt_logprobs": [None, *({str(i): {"logprob": -i / 100}} for i in ids[1:])]}
        for ids in body["prompt"]
    ]
    return web.json_response({"model": body["model"], "choices": told})


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
    web.run_app(app, host="127.0.0.1", port=OPTIONS.port, print=None)

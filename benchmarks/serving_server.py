"""A server for serving.py: it answers every chat with the same bytes, 20 ms after it was asked.

It looks at nothing that it is asked, so that what is measured is who asks.  The answer is as long
as vLLM's for 64 tokens with log-probabilities and token ids.

    python benchmarks/serving_server.py PORT
"""

import asyncio
import sys

import orjson
from aiohttp import web

LATENCY_S = 0.02
PROMPT, TOKENS = 300, 64
"""Tokens read and said."""
TEXT = "Three and four are seven, for four and three more make seven in all. " * 3 + "Answer: 7"

ANSWER = orjson.dumps(
    {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "base",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT, "tool_calls": []},
                "logprobs": {
                    "content": [
                        {
                            "token": f"token_id:{i}",
                            "logprob": -0.0123456 * (i + 1),
                            "bytes": [116, 111, 107],
                            "top_logprobs": [],
                        }
                        for i in range(TOKENS)
                    ]
                },
                "finish_reason": "stop",
                "stop_reason": None,
                "token_ids": list(range(1000, 1000 + TOKENS)),
            }
        ],
        "usage": {
            "prompt_tokens": PROMPT,
            "total_tokens": PROMPT + TOKENS,
            "completion_tokens": TOKENS,
        },
        "prompt_token_ids": list(range(2000, 2000 + PROMPT)),
    }
)


async def chat(request: web.Request) -> web.Response:
    """Read the question to its end, wait, and answer."""
    await request.read()
    await asyncio.sleep(LATENCY_S)
    return web.Response(body=ANSWER, content_type="application/json")


async def models(_: web.Request) -> web.Response:
    """Say what is served."""
    card = {"id": "base", "object": "model", "parent": None}
    return web.json_response({"object": "list", "data": [card]})


def main() -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()

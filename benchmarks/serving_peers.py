"""The peers of serving.py; what each stands on is in their own environment."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from typing import Any

from serving_work import AGENTS, IN_FLIGHT, ROUNDS, SHOWN, asked, body, debates


async def openai(url: str, episodes: int) -> list[float]:
    """The client of openai, as its readers use it: one for all calls, and gather."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:

        async def ask(chat: list[dict[str, str]]) -> str:
            given: Any = body(chat)
            return (await client.chat.completions.create(**given)).choices[0].message.content or ""

        return await debates(ask, episodes)


async def autogen(url: str, episodes: int) -> list[float]:
    """AutoGen: an assistant for every seat of every debate, whose chat it keeps itself."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    logging.disable(logging.INFO)
    able: Any = {
        "vision": False,
        "function_calling": False,
        "json_output": False,
        "family": "unknown",
        "structured_output": False,
    }
    client = OpenAIChatCompletionClient(
        model="base", base_url=f"{url}/v1", api_key="none", model_info=able, max_retries=0
    )
    agents: dict[int, AssistantAgent] = {}

    async def ask(chat: list[dict[str, str]]) -> str:
        agent = agents.get(id(chat)) or AssistantAgent("solver", client, system_message=None)
        agents[id(chat)] = agent
        result = await agent.run(task=chat[-1]["content"])
        if len(chat) > 1:
            del agents[id(chat)]
        return str(getattr(result.messages[-1], "content", ""))

    try:
        return await debates(ask, episodes)
    finally:
        await client.close()


async def inspect(url: str, episodes: int) -> list[float]:
    """Inspect: a sample is a debate, with its log on, as it is by default."""
    from inspect_ai import Task, eval_async
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageUser,
        GenerateConfig,
        get_model,
    )
    from inspect_ai.solver import Generate, TaskState, solver

    took: list[float] = []
    config = GenerateConfig(max_connections=IN_FLIGHT, max_tokens=512, seed=7, logprobs=True)
    model = get_model("openai-api/local/base", base_url=f"{url}/v1", api_key="none", config=config)

    @solver
    def debate() -> Any:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            async def call(chat: list[Any]) -> str:
                start = time.perf_counter()
                text = (await model.generate(chat)).completion
                took.append(time.perf_counter() - start)
                return text

            chats: list[list[Any]] = [
                [ChatMessageUser(content=state.input_text)] for _ in range(AGENTS)
            ]
            said = await asyncio.gather(*map(call, chats))
            for _ in range(ROUNDS - 1):
                for i, chat in enumerate(chats):
                    others = "\n".join(text for j, text in enumerate(said) if j != i)
                    chat.append(ChatMessageAssistant(content=said[i]))
                    chat.append(ChatMessageUser(content=f"{SHOWN}{others}\nAnswer it again."))
                said = await asyncio.gather(*map(call, chats))
            state.output.completion = max(said, key=said.count)
            return state

        return solve

    samples = MemoryDataset([Sample(input=asked(i), id=i + 1) for i in range(episodes)])
    with tempfile.TemporaryDirectory() as logs:
        [log] = await eval_async(
            Task(dataset=samples, solver=debate()),
            model=model,
            log_dir=logs,
            max_samples=IN_FLIGHT // AGENTS,
        )
    assert log.status == "success", log.error
    return took

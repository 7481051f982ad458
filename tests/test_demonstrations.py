"""Demonstrations in a file: what of them is read, and what is wrong with one that can't be."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import users_file
from told import turn

from moot.agents.errors import InputError
from moot.agents.types import Message
from moot.experiments.files.columns import DEMONSTRATIONS
from moot.experiments.files.lessons import shown_row
from moot.experiments.files.table import write
from moot.training.data.demonstrations import read
from moot.training.data.examples import EVERYONE, Said, Shown, said
from moot.training.methods.sft import SFT

GOOD = {"prompt": "2 + 2?", "completion": "4"}
SYSTEM = {"role": "system", "content": "Be kind."}
ASKS = {"role": "user", "content": "2 + 2?"}
SAYS = {"role": "assistant", "content": "4"}


def written(folder: Path, records: list[Any], name: str = "shows.jsonl") -> Path:
    return users_file.written(folder, records, name)


@pytest.mark.parametrize("name", ["shows.jsonl", "shows.parquet"])
def test_a_row_is_a_question_and_the_answer_to_imitate(name: str, tmp_path: Path) -> None:
    plain, named = read(written(tmp_path, [{**GOOD, "name": None}, {**GOOD, "name": "best"}], name))

    assert plain.said.prompt == (Message("user", "2 + 2?"),)
    assert (plain.said.text, plain.said.tokens, plain.said.finish) == ("4", (), "stop")
    assert (plain.name, named.name) == ("", "best")
    assert (plain.episode, named.episode) == (f"{name}/1", f"{name}/2")
    assert (plain.speakers, plain.turn) == (EVERYONE, None)


@pytest.mark.parametrize("name", ["shows.jsonl", "shows.parquet"])
@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [SYSTEM, ASKS], "completion": [SAYS]},
        {"prompt": [SYSTEM, ASKS], "completion": [SYSTEM, ASKS, SAYS]},
        {"messages": [SYSTEM, ASKS, SAYS]},
        {"messages": [SYSTEM, ASKS, SAYS], "prompt": "2 + 2?"},  # as UltraChat has it
    ],
)
def test_a_conversation_is_the_prompt_and_then_the_assistants_message(
    row: dict[str, Any], name: str, tmp_path: Path
) -> None:
    [found] = read(written(tmp_path, [row], name))

    assert found.said.prompt == (Message("system", "Be kind."), Message("user", "2 + 2?"))
    assert found.said.text == "4"


def test_of_a_conversation_of_several_turns_the_last_reply_is_imitated(tmp_path: Path) -> None:
    [found] = read(written(tmp_path, [{"messages": [ASKS, SAYS, ASKS, {**SAYS, "content": "5"}]}]))

    assert [said.content for said in found.said.prompt] == ["2 + 2?", "4", "2 + 2?"]
    assert found.said.text == "5"


def test_what_was_cut_is_read_back_as_cut(tmp_path: Path) -> None:
    ended, cut = (
        Shown("e", 0, "a", (), Said((Message("user", "?"),), "4", finish=how), "best")
        for how in ("stop", "length")
    )
    write(tmp_path / "x.parquet", DEMONSTRATIONS, [shown_row(0, one) for one in (ended, cut)])

    assert [one.said for one in read(tmp_path / "x.parquet")] == [ended.said, cut.said]


REPLY = "expected a text, or one message of the assistant"
CHAT = "messages: expected a list of messages, the prompt's and then one of the assistant"
WRONG = {
    "no mapping": ([1], "expected a mapping, got list"),
    "no prompt": ({"completion": "4"}, "prompt: expected a text or a list of messages"),
    "no completion": ({"prompt": "2 + 2?"}, f"completion: {REPLY}"),
    "a call of a tool": (
        {"messages": [ASKS, {**SAYS, "tool_calls": [{"id": "1"}]}]},
        "messages: expected messages of role and content alone: put what `tool_calls` holds into "
        "the content, as the chat template writes it, or leave it out, got [{'id': '1'}]",
    ),
    "a thought": (
        {**GOOD, "completion": [{**SAYS, "reasoning_content": "two twos"}]},
        "completion: expected messages of role and content alone: put what `reasoning_content` ",
    ),
    "tools": ({**GOOD, "tools": [{"name": "f"}]}, "tools: expected none: put "),
    "options of the chat template": (
        {**GOOD, "chat_template_kwargs": {"enable_thinking": False}},
        "chat_template_kwargs: expected none: put what the chat template makes of it into the ",
    ),
    "an empty completion": (
        {**GOOD, "completion": ""},
        "completion: expected a reply that says something, got ''",
    ),
    "a completion of several turns": (
        {**GOOD, "completion": [SAYS, ASKS, SAYS]},
        f"completion: {REPLY}",
    ),
    "an end of another kind": (
        {**GOOD, "finish": "eos"},
        "finish: expected stop or length, got 'e",
    ),
    "the user's completion": ({**GOOD, "completion": [ASKS]}, f"completion: {REPLY}"),
    "a completion that is begun": (
        {**GOOD, "prompt": [ASKS, SAYS]},
        "prompt: expected another's message last",
    ),
    "a chat that is a text": ({"messages": "2 + 2? 4"}, CHAT),
    "a chat of nothing": ({"messages": []}, CHAT),
    "a chat that ends with a question": ({"messages": [ASKS, SAYS, ASKS]}, CHAT),
    "a chat of an answer alone": (
        {"messages": [SAYS]},
        "prompt: there is none that messages begin with before a reply",
    ),
    "a chat of an empty answer": (
        {"messages": [ASKS, {**SAYS, "content": ""}]},
        "messages: expected a reply that says something, got [{",
    ),
    "a chat whose answer is begun": (
        {"messages": [ASKS, SAYS, SAYS]},
        "prompt: expected another's message last",
    ),
    "a number for a name": ({**GOOD, "name": 7}, "name: expected a text, got 7"),
    "half a character for a name": ({**GOOD, "name": "\ud800"}, "name: expected a text, got "),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_bad_row_is_named_by_file_row_and_column(name: str, tmp_path: Path) -> None:
    bad, message = WRONG[name]
    path = written(tmp_path, [GOOD, bad])

    with pytest.raises(InputError, match="^" + re.escape(f"{path}: row 2: {message}")):
        list(read(path))


def test_a_file_without_rows_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, [])

    with pytest.raises(InputError, match="no demonstrations in it: expected a row for each"):
        list(read(path))


@pytest.mark.parametrize(
    ("weigh", "names"),
    [(None, ["", "best", "worst"]), ({"best": 0.5, "worst": 0.0}, ["best"]), ({}, [])],
)
def test_a_files_demonstrations_weigh_by_their_names(
    weigh: dict[str, float] | None, names: list[str], tmp_path: Path
) -> None:
    path = written(tmp_path, [GOOD, {**GOOD, "name": "best"}, {**GOOD, "name": "worst"}])

    for method in (
        SFT(file=str(path), talk=False, weigh=weigh),
        SFT(file=str(path), on="demonstrations", weigh=weigh),
    ):
        assert [one.name for one in method.given() or ()] == names


def test_the_schema_tells_every_column() -> None:
    told = SFT.model_json_schema()["properties"]["file"]["description"]

    for column in ("prompt", "completion", "messages", "name"):
        assert f"`{column}`" in told


def test_the_example_of_the_docs_is_read(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[1] / "docs/methods.md").read_text()
    section = docs.split("\n## A file of demonstrations\n")[1].split("\n## ")[0]
    [example] = re.findall(r"^```json\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (tmp_path / "shows.jsonl").write_text(example)

    plain, talk = read(tmp_path / "shows.jsonl")

    assert (plain.said.text, plain.name) == ("4", "sums")
    assert (talk.said.prompt, talk.said.text) == ((Message("user", "Hi"),), "Hello!")


def test_of_words_in_another_chat_nobody_said_how_likely_they_are() -> None:
    first, other = turn(0, "4", prompt_tokens=(1, 2)), turn(1, "5", asked="?", prompt_tokens=(3,))
    last = replace(first, completion=replace(first.completion, logprobs=(-0.5,)))

    assert (said(last).prompt_tokens, said(last).logprobs) == ((1, 2), (-0.5,))
    moved = said(last, other)
    assert (moved.prompt, moved.text) == (other.prompt, "4")
    assert (moved.prompt_tokens, moved.logprobs) == ((3,), ())

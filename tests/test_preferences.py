"""Preferences in a file: what of them is read, and what is wrong with one that can't be."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import users_file
from wrong_preferences import ASKED, GOOD, WRONG

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import InputError
from moot.agents.types import Message
from moot.experiments.files.columns import PREFERENCES
from moot.experiments.files.lessons import pair_row
from moot.experiments.files.table import write
from moot.training.data.examples import EVERYONE, Pair, Said
from moot.training.data.preferences import read
from moot.training.methods.dpo import DPO
from moot.training.methods.rlhf import RLHF
from moot.training.model.rows import columns, rows
from moot.training.reward_model import RewardModel

TALK = {
    "prompt": ASKED,
    "chosen": [{"role": "assistant", "content": "4"}],
    "rejected": [{"role": "assistant", "content": "5"}],
}


def written(folder: Path, records: list[Any], name: str = "likes.jsonl") -> Path:
    return users_file.written(folder, records, name)


@pytest.mark.parametrize("name", ["likes.jsonl", "likes.parquet"])
def test_a_plain_row_is_a_question_and_two_answers(name: str, tmp_path: Path) -> None:
    sure = {**GOOD, "probability": 0.75, "margin": 1}
    path = written(tmp_path, [{**GOOD, "probability": None, "margin": None}, sure], name)

    plain, doubted = read(path)

    assert plain.chosen.prompt == plain.rejected.prompt == (Message("user", "2 + 2?"),)
    assert (plain.chosen.text, plain.rejected.text) == ("4", "5")
    assert (plain.probability, plain.margin) == (1.0, 0.0)
    assert (doubted.probability, doubted.margin) == (0.75, 1.0)
    assert (plain.episode, doubted.episode) == (f"{name}/1", f"{name}/2")
    assert plain.speakers == EVERYONE
    #  A text has no token ids yet; the model's own end of turn is put after it.
    assert (plain.chosen.tokens, plain.chosen.finish) == ((), "stop")


@pytest.mark.parametrize("name", ["likes.jsonl", "likes.parquet"])
def test_a_conversation_is_the_prompt_and_each_side_the_assistants_message(
    name: str, tmp_path: Path
) -> None:
    [found] = read(written(tmp_path, [TALK], name))

    assert found.chosen.prompt == (Message("system", "Be kind."), Message("user", "2 + 2?"))
    assert (found.chosen.text, found.rejected.text) == ("4", "5")
    whole = {**TALK, "chosen": [*ASKED, *TALK["chosen"]], "rejected": [*ASKED, *TALK["rejected"]]}
    [again] = read(written(tmp_path, [whole], name))
    assert again == found
    question = {"role": "user", "content": GOOD["prompt"]}
    [text] = read(written(tmp_path, [{**GOOD, "chosen": [question, *TALK["chosen"]]}], name))
    assert (text.chosen.text, text.chosen.prompt) == ("4", (Message("user", "2 + 2?"),))


@pytest.mark.parametrize("name", ["likes.jsonl", "likes.parquet"])
def test_without_a_prompt_it_is_what_both_conversations_begin_with(
    name: str, tmp_path: Path
) -> None:
    earlier = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
    long = {"prompt": [ASKED[0], *earlier, ASKED[1]]}
    told = [{**TALK, **asked} for asked in ({}, long)]
    sides = ("chosen", "rejected")
    whole = [{side: [*row["prompt"], *row[side]] for side in sides} for row in told]

    assert list(read(written(tmp_path, whole, name))) == list(read(written(tmp_path, told, name)))


def test_a_conversation_beside_itself_ties_whether_it_has_a_prompt_or_not(tmp_path: Path) -> None:
    whole = [*ASKED, *TALK["chosen"]]
    path = written(tmp_path, [{"chosen": whole, "rejected": whole}])

    assert list(read(path)) == []


@pytest.mark.parametrize("name", ["likes.jsonl", "likes.parquet"])
def test_a_reply_may_be_empty_and_is_then_the_end_of_its_turn(
    name: str, tiny: Path, tmp_path: Path
) -> None:
    empty = {**TALK, "rejected": [{"role": "assistant", "content": ""}]}

    [said] = read(written(tmp_path, [empty], name))
    [text] = read(written(tmp_path, [{**GOOD, "chosen": ""}], name))

    assert (said.chosen.text, said.rejected.text) == ("4", "")
    assert (text.chosen.text, text.rejected.text) == ("", "5")
    batch = rows(columns([said]), Tokens(tiny))
    assert batch.mask.sum(-1).tolist() == [2, 1]  # a byte and the end, and the end
    assert list(read(written(tmp_path, [{**GOOD, "chosen": "", "rejected": ""}], name))) == []


def test_what_was_cut_is_read_back_as_cut(tmp_path: Path) -> None:
    chosen, rejected = (
        Said((Message("user", "?"),), text, finish=how)
        for text, how in (("4", "length"), ("5", "stop"))
    )
    pair = Pair("e", (0, 1), ("a", "b"), (), chosen, rejected)
    write(tmp_path / "x.parquet", PREFERENCES, [pair_row(0, pair)])

    [found] = read(tmp_path / "x.parquet")

    assert (found.chosen, found.rejected) == (chosen, rejected)


def test_blank_lines_and_other_columns_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "likes.jsonl"
    path.write_text(f"\n{json.dumps({**GOOD, 'source': 'me'})}\n\n  \n{json.dumps(TALK)}\n")

    assert [one.episode for one in read(path)] == ["likes.jsonl/1", "likes.jsonl/2"]


@pytest.mark.parametrize("name", ["likes.jsonl", "likes.parquet"])
def test_what_a_message_or_a_row_has_not_got_may_be_told(name: str, tmp_path: Path) -> None:
    # Parquet has a message's key in all messages: here the system's name.
    asked, [said] = [{**ASKED[0], "name": ""}, ASKED[1]], TALK["chosen"]
    row = {**TALK, "prompt": asked, "chosen": [{**said, "tool_calls": [], "thinking": None}]}
    path = written(tmp_path, [{**row, "tools": None, "chat_template_kwargs": None}], name)

    assert list(read(path)) == list(read(written(tmp_path, [TALK], name)))


def test_a_mark_of_byte_order_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "likes.jsonl"
    path.write_text(json.dumps(GOOD), encoding="utf-8-sig")

    assert [one.chosen.text for one in read(path)] == ["4"]


def test_a_files_ties_and_doubtful_rows_are_left_out_as_an_episodes_are(tmp_path: Path) -> None:
    alike = {**GOOD, "rejected": GOOD["chosen"]}
    path = written(tmp_path, [alike, *({**GOOD, "probability": p} for p in (0.5, 0.6, 0.9))])

    for method in (DPO, RewardModel):
        assert [p.probability for p in method(file=str(path)).given() or ()] == [0.6, 0.9]
        assert [p.probability for p in method(file=str(path), sure=0.7).given() or ()] == [0.9]


@pytest.mark.parametrize("name", WRONG)
def test_a_bad_row_is_named_by_file_row_and_column(name: str, tmp_path: Path) -> None:
    bad, message = WRONG[name]
    path = tmp_path / "likes.jsonl"
    line = bad if isinstance(bad, str) else json.dumps({**GOOD, **bad})
    path.write_text(f"{json.dumps(GOOD)}\n{line}\n")

    with pytest.raises(InputError, match="^" + re.escape(f"{path}: {message}")):
        list(read(path))


def test_what_is_wrong_is_told_in_one_line_that_is_not_too_long(tmp_path: Path) -> None:
    path = written(tmp_path, [{**GOOD, "chosen": ["x" * 10_000]}])

    with pytest.raises(InputError) as error:
        list(read(path))

    assert len(str(error.value)) <= 300 + len(str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("likes.jsonl", None, "No such file or directory"),
        ("likes.parquet", None, "No such file or directory"),
        ("likes.jsonl", b"", "no preferences in it"),
        ("likes.jsonl", b" \n\n", "no preferences in it"),
        ("likes.jsonl", b'{"prompt": ', "can't be read: line 1 is no JSON: "),
        ("likes.jsonl", b"PAR1", "can't be read: line 1 is no JSON: "),
        ("likes.jsonl", b'{"prompt": "caf\xe9"}', "can't be read: .*utf-8"),
        ("likes.jsonl", b'[{"prompt": "a"}]', "row 1: expected a mapping, got list"),
        ("likes.parquet", b"", "can't be read: "),
        ("likes.parquet", b"PAR1 PAR1", "can't be read: "),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {message}"):
        list(read(path))


def test_a_folder_is_no_file_and_a_table_without_rows_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory"):
        list(read(tmp_path))
    columns = pa.schema([(name, pa.string()) for name in GOOD])
    pq.write_table(columns.empty_table(), tmp_path / "likes.parquet")
    with pytest.raises(InputError, match="no preferences in it"):
        list(read(tmp_path / "likes.parquet"))


@pytest.mark.parametrize("method", [DPO, RewardModel, RLHF])
def test_the_schema_tells_every_column(method: Any) -> None:
    told = method.model_json_schema()["properties"]["file"]["description"]

    for column in ("prompt", "chosen", "rejected", "probability", "margin", "chosen_finish"):
        assert f"`{column}`" in told


def test_the_example_of_the_docs_is_read(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[1] / "docs/methods.md").read_text()
    [example] = re.findall(
        r"^## A file of preferences\n[^#]*?```json\n(.*?)^```", docs, re.M | re.S
    )
    (tmp_path / "likes.jsonl").write_text(example)

    plain, talk = read(tmp_path / "likes.jsonl")

    assert (plain.chosen.text, plain.probability) == ("4", 0.9)
    assert (talk.chosen.prompt, talk.rejected.text) == ((Message("user", "Hi"),), "What?")

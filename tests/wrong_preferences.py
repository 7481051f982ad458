"""Rows of a file of preferences that are wrong, and what is said of each."""

GOOD = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "2 + 2?"}]
MESSAGES = "expected a text or a list of messages"
REPLY = "expected a text, or one message of the assistant, with the prompt before it or not"
X, Z = ({"role": "assistant", "content": text} for text in "xz")
ASKS = {"role": "user", "content": "and?"}
SILENT = {"role": "assistant", "content": None}
WRONG = {
    "no mapping": ("[1]", "row 2: expected a mapping, got list"),
    "a call of a tool": (
        {"chosen": [{**X, "tool_calls": [{"id": "1"}]}]},
        "row 2: chosen: expected messages of role and content alone: put what `tool_calls` holds "
        "into the content, as the chat template writes it, or leave it out, got [{'id': '1'}]",
    ),
    "a call of a tool without a word": (
        {"prompt": None, "chosen": [ASKS, X], "rejected": [ASKS, {**SILENT, "tool_calls": ["f"]}]},
        "row 2: rejected: expected messages of role and content alone: put what `tool_calls` ",
    ),
    "a name in a prompt": (
        {"prompt": [{**ASKS, "name": "Ann"}]},
        "row 2: prompt: expected messages of role and content alone: put what `name` holds ",
    ),
    "tools": (
        {"tools": [{"name": "f"}]},
        "row 2: tools: expected none: put what the chat template makes of it into the prompt, or "
        "leave it out, got [{'name': 'f'}]",
    ),
    "options of the chat template": (
        {"chat_template_kwargs": {"enable_thinking": False}},
        "row 2: chat_template_kwargs: expected none: put ",
    ),
    "no prompt": (
        {"prompt": None},
        "row 2: chosen: expected a list of messages, the prompt's and then one of the "
        "assistant (a text needs a `prompt` beside it), got '4'",
    ),
    "no prompt, and a text for one reply": (
        {"prompt": None, "chosen": [ASKS, X]},
        "row 2: rejected: expected a list of messages, the prompt's and ",
    ),
    "conversations about something else": (
        {"prompt": None, "chosen": [ASKS, X], "rejected": [ASKED[1], Z]},
        "row 2: prompt: there is none that chosen and rejected begin with before a reply: ",
    ),
    "an end of another kind": (
        {"rejected_finish": 1},
        "row 2: rejected_finish: expected stop or length, got 1",
    ),
    "replies alone": (
        {"prompt": None, "chosen": [X], "rejected": [Z]},
        "row 2: prompt: there is none that ",
    ),
    "nothing left to choose": (
        {"prompt": None, "chosen": [ASKS], "rejected": [ASKS, X]},
        "row 2: chosen: expected a list of messages, the prompt's and then one of the assistant",
    ),
    "a conversation that goes on": (
        {"prompt": None, "chosen": [ASKS, X], "rejected": [ASKS, X, ASKS, Z]},
        f"row 2: rejected: {REPLY}, got [{ASKS}, ",
    ),
    "two conversations that part early": (
        {"prompt": None, "chosen": [ASKS, X, ASKS, Z], "rejected": [ASKS, Z, ASKS, X]},
        f"row 2: chosen: {REPLY}, got [{ASKS}, ",
    ),
    "a reply that is begun in both": (
        {"prompt": None, "chosen": [ASKS, X, Z], "rejected": [ASKS, X, X]},
        "row 2: prompt: expected another's message last, ",
    ),
    "a prompt of numbers": (
        {"prompt": [1]},
        f"row 2: prompt: {MESSAGES} with role and content, got [1]",
    ),
    "an empty prompt": ({"prompt": ""}, "row 2: prompt: "),
    "no messages": ({"prompt": []}, "row 2: prompt: "),
    "a prompt of texts": ({"prompt": ["2 + 2?"]}, "row 2: prompt: "),
    "a message without a role": ({"prompt": [{"content": "?"}]}, "row 2: prompt: "),
    "a role of no chat": ({"prompt": [{"role": "boss", "content": "?"}]}, "row 2: prompt: "),
    "a role that is none": ({"prompt": [{"role": [], "content": "?"}]}, "row 2: prompt: "),
    "a message that says nothing": (
        {"prompt": [{"role": "user", "content": None}]},
        "row 2: prompt: ",
    ),
    "a prompt that begins the reply": (
        {"prompt": [ASKS, X]},
        "row 2: prompt: expected another's message last, for a reply is a whole message of the "
        f"assistant: put the words that it begins with into the replies, got [{ASKS}, {X}]",
    ),
    "a number for a prompt": ({"prompt": 7}, "row 2: prompt: "),
    "no chosen": ({"chosen": None}, f"row 2: chosen: {REPLY}, got None"),
    "half a character": ({"chosen": "\ud800"}, f"row 2: chosen: {REPLY}, got '\\ud800'"),
    "half a character asked": ({"prompt": "so \udfff"}, "row 2: prompt: "),
    "a reply of several turns": (
        {"chosen": [X, ASKS, Z]},
        f"row 2: chosen: {REPLY}, got [{X}, ",
    ),
    "a reply by the user": ({"chosen": [ASKS]}, f"row 2: chosen: {REPLY}, got [{ASKS}]"),
    "a reply to another question": ({"rejected": [ASKS, X]}, "row 2: rejected: "),
    "a reply of no messages": ({"rejected": []}, "row 2: rejected: "),
    "a reply of texts": ({"rejected": ["5"]}, "row 2: rejected: "),
    "a number for a reply": ({"rejected": 5}, "row 2: rejected: "),
    "less likely than not": (
        {"probability": 0.2},
        "row 2: probability: expected a number in [0.5, 1], got 0.2",
    ),
    "impossible": (
        {"probability": 0},
        "row 2: probability: expected a number in [0.5, 1], got 0",
    ),
    "more than certain": ({"probability": 1.5}, "row 2: probability: "),
    "a probability in words": (
        {"probability": "high"},
        "row 2: probability: expected a number, got 'high'",
    ),
    "no number at all": ({"probability": float("nan")}, "row 2: probability: "),
    "yes": ({"probability": True}, "row 2: probability: expected a number, got True"),
    "a margin in words": ({"margin": ""}, "row 2: margin: expected a number, got ''"),
    "a margin without end": ({"margin": float("inf")}, "row 2: margin: "),
    "a margin too long for a number": ({"margin": 10**400}, "row 2: margin: expected a number, "),
}

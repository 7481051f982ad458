"""The columns of every Parquet file of a run's directory."""

import pyarrow as pa

VERSION = "2"
"""The schema version, written into every file's metadata."""

PROMPT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

TURNS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("task", pa.string()),
        ("turn", pa.int32()),
        ("round", pa.int32()),
        ("agent", pa.string()),
        ("group", pa.string()),
        ("role", pa.string()),
        ("engine", pa.string()),
        ("weights", pa.string()),
        ("weights_version", pa.int32()),
        ("heard", pa.list_(pa.int32())),
        ("prompt", PROMPT),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("correct", pa.bool_()),
        ("tokens_in", pa.int32()),
        ("tokens_out", pa.int32()),
        ("logprob", pa.float64()),
        ("latency_s", pa.float64()),
        ("finish", pa.string()),
        ("tokens_cached", pa.int32()),
        ("tries", pa.int32()),
        ("ended_s", pa.float64()),
    ]
)

EPISODES = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("task", pa.string()),
        ("question", pa.string()),
        ("protocol", pa.string()),
        ("reference", pa.string()),
        ("reference_finish", pa.string()),
        ("rubric", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("expected", pa.string()),
        ("correct", pa.bool_()),
        ("majority", pa.string()),
        ("majority_correct", pa.bool_()),
    ]
)

VERDICTS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("by", pa.int32()),
        ("of", pa.int32()),
        ("kind", pa.string()),
        ("criterion", pa.string()),
        ("score", pa.float64()),
        ("over", pa.int32()),
    ]
)

PREFERENCES = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("chosen_turn", pa.int32()),
        ("rejected_turn", pa.int32()),
        ("chosen_agent", pa.string()),
        ("rejected_agent", pa.string()),
        ("judges", pa.list_(pa.int32())),
        ("prompt", PROMPT),
        ("chosen", PROMPT),
        ("rejected", PROMPT),
        ("chosen_finish", pa.string()),
        ("rejected_finish", pa.string()),
        ("probability", pa.float64()),
    ]
)

DEMONSTRATIONS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("turn", pa.int32()),
        ("agent", pa.string()),
        ("name", pa.string()),
        ("prompt", PROMPT),
        ("completion", PROMPT),
        ("finish", pa.string()),
    ]
)

REFERENCES = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("protocol", pa.string()),
        ("prompt", PROMPT),
        ("completion", PROMPT),
        ("finish", pa.string()),
    ]
)

TEACHES = pa.field("teaches", pa.bool_())
LEARNER = pa.field("learner", pa.string())
PAIRS = PREFERENCES.append(TEACHES).append(LEARNER)
SHOWN = DEMONSTRATIONS.append(TEACHES).append(LEARNER)

ROLLOUTS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("turn", pa.int32()),
        ("round", pa.int32()),
        ("agent", pa.string()),
        ("weights", pa.string()),
        ("weights_version", pa.int32()),
        ("judges", pa.list_(pa.int32())),
        ("prompt", PROMPT),
        ("completion", PROMPT),
        ("prompt_ids", pa.list_(pa.int32())),
        ("completion_ids", pa.list_(pa.int32())),
        ("finish", pa.string()),
        ("temperature", pa.float64()),
        ("answer", pa.string()),
        ("reward", pa.float64()),
        ("advantage", pa.float64()),
        ("earned", pa.list_(pa.float64())),
        TEACHES,
        LEARNER,
    ]
)

EDGES = {
    "agents": pa.schema(
        [
            ("speaker", pa.string()),
            ("listener", pa.string()),
            ("times", pa.int64()),
            ("differed", pa.int64()),
            ("adopted", pa.int64()),
            ("corrected", pa.int64()),
            ("corrupted", pa.int64()),
        ]
    ),
    "turns": pa.schema(
        [
            ("speaker", pa.string()),
            ("listener", pa.string()),
            ("differed", pa.bool_()),
            ("adopted", pa.bool_()),
        ]
    ),
}
"""Who heard whom, by level (`moot graph --format parquet`)."""

METRICS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("step", pa.int32()),
        ("name", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)

USAGE = pa.schema(
    [
        ("cycle", pa.int32()),
        ("phase", pa.string()),
        ("protocol", pa.string()),
        ("agent", pa.string()),
        ("group", pa.string()),
        ("role", pa.string()),
        ("engine", pa.string()),
        ("calls", pa.int64()),
        ("tokens_in", pa.int64()),
        ("tokens_cached", pa.int64()),
        ("tokens_out", pa.int64()),
        ("seconds", pa.float64()),
        ("retries", pa.int64()),
        ("cost", pa.float64()),
    ]
)

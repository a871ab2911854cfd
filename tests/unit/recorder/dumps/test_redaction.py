"""What looks like a secret, and what does not."""

import pytest

from blackbox.recorder.dumps.redaction import redact_text


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@host/path",
        "HF_TOKEN=hunter2",
        "api_key: hunter2",
        "--api-key=hunter2",
        "Authorization: Bearer hunter2",
        "bearer hunter2",
        '"password": "hunter2"',
        "sk-hunter2hunter2",
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    assert "hunter2" not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "out of memory: tried to allocate 853229056 bytes",
        "python (pid 4711)",
        "meta-llama/Llama-3.1-8B",
        "/models/tokenizer/v3",
        "http://localhost:8000/metrics",
        "580.65.06",
        "VLLM::Worker_TP0",
    ],
)
def test_other_words_are_left_alone(text: str) -> None:
    assert redact_text(text) == text

"""What an object store refuses, in sentences with the variables of its kind."""

from __future__ import annotations

import pytest

from pipeline.storage.faults import REGION, SENTENCES, VARIABLES, sentence_for


@pytest.mark.parametrize("code", SENTENCES)
@pytest.mark.parametrize("scheme", VARIABLES)
def test_code_is_one_sentence_about_its_store(scheme: str, code: str) -> None:
    """It starts with the address, and names no variable of another kind of store."""
    sentence = sentence_for(f"{scheme}://bucket/data", code) or ""
    assert sentence.startswith(f"{scheme}://bucket/data ")
    assert not set("{}\n") & set(sentence)
    others = {"s3": "AWS_", "az": "AZURE_", "gs": "GOOGLE_"}
    others.pop(scheme)
    if SENTENCES[code] is REGION:  # of S3 alone: the others have no region to set
        others.pop("s3", None)
    assert not any(variable in sentence for variable in others.values())


def test_refused_key_of_azure_names_its_variables() -> None:
    """Azure calls it AuthenticationFailed."""
    assert sentence_for("az://c/d", "AuthenticationFailed") == (
        "az://c/d refuses the credentials (AuthenticationFailed); check AZURE_STORAGE_ACCOUNT_NAME and "
        "AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING"
    )


def test_unknown_code_has_no_sentence() -> None:
    """The caller has one for it."""
    assert sentence_for("s3://b/d", "Teapot") is None

import dataclasses
import pathlib

import pytest

from serving import settings

MODEL = {"RETINOGRAD_API_MODEL": "a/model"}


def test_what_is_not_set_has_its_default():
    api = settings.Api.from_environment(MODEL | {"HOME": "x", "RETINOGRAD_API_KEY": ""})
    assert api == settings.Api(model=pathlib.Path("a/model"))
    assert api.host == "127.0.0.1" and api.key is None and api.workers >= 1
    page = settings.Page.from_environment({})
    assert page.model is None and page.api == "http://127.0.0.1:8000"


def test_variables_become_what_their_attributes_are():
    api = settings.Api.from_environment(
        MODEL
        | {
            "RETINOGRAD_API_PORT": "80",
            "RETINOGRAD_API_ALLOW_DRAWINGS": "Yes",
            "RETINOGRAD_API_ANSWER_SECONDS": "2.5",
            "RETINOGRAD_API_THREADS": "3",
            "RETINOGRAD_API_KEY": "12",
        }
    )
    assert (api.port, api.allow_drawings, api.threads) == (80, True, 3)
    assert (api.answer_seconds, api.key, api.workers) == (2.5, "12", 3)
    page = settings.Page.from_environment({"RETINOGRAD_PAGE_MODEL": "a/b"})
    assert page.model == pathlib.Path("a/b")


def test_the_key_has_one_name_for_the_api_and_the_page():
    environment = {settings.KEY: "12"}
    assert settings.Api.from_environment(MODEL | environment).key == "12"
    assert settings.Page.from_environment(environment).key == "12"
    with pytest.raises(ValueError, match="Did you mean RETINOGRAD_API_KEY"):
        settings.Page.from_environment({"RETINOGRAD_PAGE_KEY": "12"})


@pytest.mark.parametrize("key", [" ", "a key ", "ключ", "a\nkey"])
def test_a_key_that_no_client_could_send_is_refused_and_not_shown(key):
    for kind in (settings.Api, settings.Page):
        with pytest.raises(ValueError, match="RETINOGRAD_API_KEY must") as caught:
            kind.from_environment(MODEL | {"RETINOGRAD_API_KEY": key})
        assert key.strip() not in str(caught.value) or key == " "
    settings.Page.from_environment({"RETINOGRAD_API_KEY": "a key, with = signs"})


def test_settings_are_frozen_and_hide_the_key():
    api = settings.Api(model=pathlib.Path("m"), key="secret")
    assert "secret" not in repr(api)
    with pytest.raises(dataclasses.FrozenInstanceError):
        api.port = 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PORT": "http"}, r"PORT must be a whole number\. Received: 'http'"),
        ({"PORT": "-1"}, r"PORT must be from 0 to 65535\. Received: -1"),
        ({"PORT": "70000"}, r"PORT must be from 0 to 65535\. Received: 70000"),
        ({"ANSWER_SECONDS": "nan"}, "ANSWER_SECONDS must be at least 0.01"),
        ({"ANSWER_SECONDS": "soon"}, r"must be a number\. Received: 'soon'"),
        ({"ALLOW_DRAWINGS": "maybe"}, r"must be one of 1, true, yes, .*'maybe'"),
        ({"MOST_BITES": "1"}, r"MOST_BITES\. Did you mean RETINOGRAD_API_MOST_BYTES\?"),
        ({"MOST_HELD_BYTES": "9"}, "MOST_HELD_BYTES must be at least 25,000,000"),
        ({"MOST_PHOTOGRAPHS": "500"}, r"would never find room: .* Raise that\."),
    ],
)
def test_what_makes_no_sense_is_refused(variables, message):
    variables = {f"RETINOGRAD_API_{name}": text for name, text in variables.items()}
    with pytest.raises(ValueError, match=message):
        settings.Api.from_environment(MODEL | variables)


def test_a_model_must_be_named():
    with pytest.raises(ValueError, match="RETINOGRAD_API_MODEL must be set"):
        settings.Api.from_environment({})


def test_an_address_of_the_api_is_an_address():
    with pytest.raises(ValueError, match=r"PAGE_API must be an address .* 'localhost'"):
        settings.Page.from_environment({"RETINOGRAD_PAGE_API": "localhost"})

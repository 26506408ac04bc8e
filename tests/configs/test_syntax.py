import os
import pathlib
import random
import subprocess
import sys

import pytest

from configs import statements, syntax

ROOT = pathlib.Path(__file__).parents[2]


def bound(*lines, files=()):
    """Key -> value of what is bound."""
    return {one.key: one.value for one in syntax.parse(files, lines)}


def test_statements_come_in_the_order_in_which_they_apply(tmp_path):
    (tmp_path / "base.gin").write_text("import one\nf.x = 1\n\n# comment\nf.y = 2\n")
    top = tmp_path / "top.gin"
    top.write_text("include 'base.gin'\nf.x = 3  # overrides\n")
    parsed = syntax.parse([str(top)], ["f.x = 4"])
    base, top = f"{tmp_path / 'base.gin'}, line", f"{top}, line"
    assert parsed == [
        statements.Import("one", f"{base} 1"),
        statements.Binding("", "f", "x", 1, f"{base} 2", "included"),
        statements.Binding("", "f", "y", 2, f"{base} 5", "included"),
        statements.Binding("", "f", "x", 3, f"{top} 2"),
        statements.Binding("", "f", "x", 4, "--gin_bindings='f.x = 4'"),
    ]


def test_a_value_is_read_as_python_has_it_with_references_in_any_place():
    parsed = bound("a/f.x = {'k': (1, -2.5, [@b/g, @h()]), @g: %M}", "M = 'text'")
    uncalled = statements.Reference("b", "g", called=False)
    called = statements.Reference("", "h", called=True)
    assert parsed == {
        "a/f.x": {
            "k": (1, -2.5, [uncalled, called]),
            statements.Reference("", "g", called=False): statements.Macro("M"),
        },
        "M": "text",
    }
    assert repr(parsed["a/f.x"]) == "{'k': (1, -2.5, [@b/g, @h()]), @g: %M}"


def test_a_block_binds_the_parameters_of_one_name(tmp_path):
    file = tmp_path / "block.gin"
    file.write_text("a/f:\n  x = 1\n  y = @g()\n")
    assert bound(files=[str(file)]) == {
        "a/f.x": 1,
        "a/f.y": statements.Reference("", "g", called=True),
    }


def test_an_include_is_looked_for_beside_its_file_then_here_then_in_configs(
    tmp_path, monkeypatch
):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, value in ((here, "'here'"), (there, "'there'")):
        folder.mkdir()
        (folder / "both.gin").write_text(f"both.x = {value}\n")
    (here / "only_here.gin").write_text("only.x = 1\n")
    top = there / "top.gin"
    top.write_text(
        "include 'both.gin'\ninclude 'only_here.gin'\ninclude 'tasks/referable.gin'\n"
    )
    monkeypatch.chdir(here)
    assert bound(files=["../there/top.gin"]) == {
        "both.x": "there",
        "only.x": 1,
        "train.task": statements.Reference("", "referable", called=True),
    }


def test_a_shipped_experiment_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "train.model" in bound(files=["idrid_resnet_v2.gin"])


def test_a_file_of_a_windows_editor_is_read(tmp_path):
    file = tmp_path / "windows.gin"
    file.write_bytes(b"\xef\xbb\xbff.x = 1\r\nf.y = 2\r\n")
    assert bound(files=[str(file)]) == {"f.x": 1, "f.y": 2}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("f.x 3", 1, r"expected ':' or '='\. In: 'f\.x 3'\. Expected: name\.parameter"),
        ("f.x =", 1, r"Unable to parse value\. In: 'f\.x ='"),
        ("f.x = 1 2", 1, "Expected newline"),
        ("f.x = 1\nf..y = 2", 2, "Malformatted scope or selector"),
        ("f.x = resnet", 1, r"resnet is not a value\. Text is quoted, 'resnet'; a fun"),
        ("f.x = true", 1, r"true is not a value\. Did you mean 'True'\? Text is"),
        ("f.x = -'a'", 1, r"-'a' is not a value\. In:"),
        ("f.x = [1,\n  2,\n  three]", 3, r"three is not a value.* In: 'three\]'"),
        ("f.x = @g(3)", 1, r"Expected '\)'"),
        ("f.x = {[1]: 2}", 1, "unhashable type: 'list'"),
        ("f.x = (1, 2", None, "the text ends within a bracket or a string"),
        ("f.x = '''a\n", None, "the text ends within a bracket or a string"),
        ("f:\n  x = 1\n y = 2", 3, "unindent does not match any outer"),
        ("include base", 1, "base is not a value"),
        ("f.x = 1e999", 1, r"f\.x must be a finite number\."),
        ("f.x = 1\nf.x = 2", 2, r"f\.x is bound already: .*slip\.gin, line 1\. Remove"),
        ("f.x = 1\ninclude 'b.gin'", 2, "an include must stand above the file's own"),
        ("f.x = 1\n\0", None, "is not a text file: it holds a null character"),
    ],
)
def test_a_slip_of_syntax_is_an_error_that_names_file_and_line(
    tmp_path, text, line, message
):
    file = tmp_path / "slip.gin"
    file.write_text(text)
    where = f"slip.gin, line {line}: " if line else "slip.gin"
    with pytest.raises(statements.ConfigError, match=f"{where}.*(?:{message})"):
        syntax.parse([str(file)], [])


def test_a_slip_on_the_command_line_is_shown_with_its_flag():
    message = r"^--gin_bindings='f\.x = ': Unable to parse value\. Expected: name\."
    with pytest.raises(statements.ConfigError, match=message):
        syntax.parse([], ["f.x = "])


def test_what_is_no_text_is_refused(tmp_path):
    file = tmp_path / "model.keras"
    file.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(
        statements.ConfigError, match=r"model\.keras is not a text file"
    ):
        syntax.parse([str(file)], [])


def test_a_missing_file_is_named_with_one_like_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    message = (
        r"^--gin_file: there is no gin file 'configs/idrid_resnet\.gin'\. Looked in .*"
        r"\. Did you mean 'configs/idrid_resnet_v2\.gin'\?$"
    )
    with pytest.raises(statements.ConfigError, match=message):
        syntax.parse(["configs/idrid_resnet.gin"], [])


def test_a_missing_include_is_named_with_its_line_and_one_like_it(tmp_path):
    file = tmp_path / "top.gin"
    file.write_text("# header\ninclude 'models/resnet_v3.gin'\n")
    message = r"top\.gin, line 2: there is no gin file.*Did you mean 'models/resnet_v2"
    with pytest.raises(statements.ConfigError, match=message):
        syntax.parse([str(file)], [])


def test_a_file_that_includes_itself_is_an_error(tmp_path):
    (tmp_path / "a.gin").write_text("include 'b.gin'\n")
    (tmp_path / "b.gin").write_text("\ninclude 'a.gin'\n")
    message = r"b\.gin, line 2: .*a\.gin includes itself\. Remove this line\."
    with pytest.raises(statements.ConfigError, match=message):
        syntax.parse([str(tmp_path / "a.gin")], [])


def test_one_file_may_be_included_on_two_ways(tmp_path):
    (tmp_path / "base.gin").write_text("f.x = 1\n")
    (tmp_path / "a.gin").write_text("include 'base.gin'\n")
    (tmp_path / "b.gin").write_text("include 'base.gin'\n")
    top = tmp_path / "top.gin"
    top.write_text("include 'a.gin'\ninclude 'b.gin'\n")
    assert bound(files=[str(top)]) == {"f.x": 1}


def test_whatever_is_mistyped_is_a_config_error_or_no_error(tmp_path):
    whole = (ROOT / "configs" / "training" / "adam.gin").read_text()
    whole += "import a.b\nf:\n  x = {'a': (1, @g()), @h: %M}\nM = '''a\nb'''\n"
    rng = random.Random(0)
    file = tmp_path / "mistyped.gin"
    for _ in range(300):
        text = list(whole)
        for _ in range(rng.randint(1, 5)):
            position = rng.randrange(len(text))
            text[position : position + rng.randint(0, 3)] = rng.choice(
                "(){}[]@%=.'\n\t "
            )
        file.write_text("".join(text))
        try:
            syntax.parse([str(file)], [])
        except statements.ConfigError as error:
            assert str(error).startswith(str(file))


def test_parsing_imports_neither_tensorflow_nor_keras(tmp_path):
    program = (
        "import sys; from configs import syntax;"
        "syntax.parse(['configs/idrid_resnet_v2.gin'], ['f.x = 1']);"
        "print(sorted({'tensorflow', 'keras', 'numpy'} & sys.modules.keys()))"
    )
    child = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert (child.stdout, child.stderr) == ("[]\n", "")

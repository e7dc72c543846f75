"""Flags count most, then the environment, then secret files, then a file, then the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.config import SETTINGS, load, located
from assay.model.errors import SettingInvalid

from .files import evalhub, loaded, own, problem


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "port").write_text("3\n")
    return own(tmp_path, 'port = 2\nslots = 5\n[secret_files]\nport = "port"\n')


def test_each_source_counts_more_than_those_below_it_and_is_named(file: Path) -> None:
    environment = {"ASSAY_PORT": "4"}
    by_flag = loaded(file, environment, port="5")
    assert (by_flag.port, by_flag.origins["port"]) == (5, "flag --port")
    by_environment = loaded(file, environment)
    assert (by_environment.port, by_environment.origins["port"]) == (4, "environment ASSAY_PORT")
    by_secret = loaded(file)
    assert (by_secret.port, by_secret.origins["port"]) == (3, f"secret {file.parent / 'port'}")
    assert (by_secret.slots, by_secret.origins["slots"]) == (5, f"file {file}")
    by_default = load({}, {})
    assert (by_default.port, by_default.origins["port"]) == (8080, "default")


def test_a_flag_that_was_not_given_does_not_count(file: Path) -> None:
    assert load({"slots": None, "catalog": ()}, {}, file).slots == 5


def test_an_empty_variable_does_not_count() -> None:
    assert load({}, {"ASSAY_PORT": ""}).port == 8080


def test_the_default_of_every_setting_can_be_read() -> None:
    assert load({}, {}).origins == {each.name: "default" for each in SETTINGS}


def test_an_option_names_the_file_before_the_environment_does(tmp_path: Path) -> None:
    environment = {"ASSAY_CONFIG": "/own", "EVAL_HUB_CONFIG_DIR": "/evalhub"}
    assert located(tmp_path, environment) == tmp_path
    assert located(None, environment) == Path("/own")
    assert located(None, {"EVAL_HUB_CONFIG_DIR": "/evalhub"}) == Path("/evalhub")
    assert located(None, {}) is None


def test_a_folder_stands_for_the_settings_file_in_it(tmp_path: Path) -> None:
    own(tmp_path, "port = 7")
    assert loaded(tmp_path).port == 7
    assert loaded(evalhub(tmp_path / "theirs", service={"port": 8}).parent).port == 8


def test_a_folder_with_two_settings_files_or_none_is_refused(tmp_path: Path) -> None:
    assert problem(tmp_path).endswith("the folder has neither of assay.toml and config.yaml; name the file itself")
    own(tmp_path, "")
    evalhub(tmp_path)
    assert problem(tmp_path).endswith("the folder has both of assay.toml and config.yaml; name the file itself")


def test_a_file_of_another_kind_or_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{}")
    assert "ends in .toml (Assay) or .yaml (EvalHub)" in problem(tmp_path / "settings.json")
    assert "it does not exist" in problem(tmp_path / "nowhere")


def test_an_unknown_key_of_our_own_file_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    file = own(tmp_path, "prot = 1")
    assert problem(file) == f"prot (file {file}): there is no setting of this name; did you mean port?"
    assert "there is no setting of this name" in problem(own(tmp_path, '[secret_files]\nprot = "x"'))


def test_a_bad_value_names_the_setting_the_place_and_what_is_wanted(tmp_path: Path) -> None:
    file = own(tmp_path, 'port = "many"')
    assert problem(file) == f"port (file {file}): 'many' is no whole number"
    with pytest.raises(SettingInvalid, match=r"^slots \(flag --slots\): at least 1 is needed$"):
        load({"slots": "0"}, {})
    with pytest.raises(SettingInvalid, match=r"^log_level \(environment ASSAY_LOG_LEVEL\): one of debug, "):
        load({}, {"ASSAY_LOG_LEVEL": "loud"})


@pytest.mark.parametrize("text", ["port = ", "port = {a = 1}", "secret_files = 5", "\x00"])
def test_a_file_that_makes_no_sense_is_refused_without_a_traceback(tmp_path: Path, text: str) -> None:
    assert problem(own(tmp_path, text))


def test_a_missing_secret_file_is_an_error_unless_it_may_be_missing(tmp_path: Path) -> None:
    said = problem(own(tmp_path, '[secret_files]\ndatabase = "url"'))
    assert said.startswith(f"url (secret {tmp_path / 'url'}): the file is not there")
    assert "url:optional" in said
    assert loaded(own(tmp_path, '[secret_files]\ndatabase = "url:optional"')).database == ""


def test_the_value_of_a_bad_secret_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("hunter2")
    assert "hunter2" not in problem(own(tmp_path, '[secret_files]\nport = "port"'))


def test_a_certificate_and_its_key_are_given_together(tmp_path: Path) -> None:
    assert load({}, {}).tls_files is None
    both = load({"tls_cert_file": "c.pem", "tls_key_file": "k.pem"}, {})
    assert both.tls_files == (Path("c.pem"), Path("k.pem"))
    for one, other in (("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")):
        with pytest.raises(SettingInvalid, match=f"{one} .*{other} is needed with it"):
            _ = load({one: "x.pem"}, {}).tls_files


def test_a_database_file_has_a_data_folder_of_its_own_unless_one_is_named(tmp_path: Path) -> None:
    beside = load({"database": f"file:{tmp_path}/eval.db"}, {})
    assert (beside.database_file, beside.data) == (tmp_path / "eval.db", tmp_path / "eval.db-files")
    assert beside.origins["data"] == "beside the database"
    assert load({"database": f"file:{tmp_path}/eval.db", "data": tmp_path}, {}).data == tmp_path
    assert load({"data": tmp_path}, {}).database_file == tmp_path / "assay.db"

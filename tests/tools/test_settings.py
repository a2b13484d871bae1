"""`pyzk config`: what a server would say of a file, and what a key means."""

import json

import pytest

from pyzk.errors import ConfigError
from pyzk.server.config.settings import all_settings
from pyzk.tools import settings as tool
from pyzk.tools.main import main


@pytest.fixture(autouse=True)
def no_file_of_the_machine(monkeypatch):
    monkeypatch.setattr(tool, "find_config", lambda _environ: None)
    for name in ("JVMFLAGS", "SERVER_JVMFLAGS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def config(tmp_path):
    """Writes a zoo.cfg below dataDir=DIR; its path."""

    def write(*lines):
        path = tmp_path / "zoo.cfg"
        path.write_text("\n".join([f"dataDir={tmp_path}", *lines]) + "\n")
        return str(path)

    return write


def explained(capsys, *arguments):
    code = main(["config", "explain", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_good_file_is_summed_up(config, capsys):
    assert main(["config", "check", config("clientPort=2181", "clientPortAddress=127.0.0.1")]) == 0
    out = capsys.readouterr().out
    assert "role           standalone\n" in out
    assert "clients        127.0.0.1:2181\n" in out
    assert out.endswith("a server would start, with 0 warnings\n")


def test_an_ensemble_shows_its_members(config, tmp_path, capsys):
    (tmp_path / "myid").write_text("2\n")
    servers = [f"server.{number}=127.0.0.1:28{number}8:38{number}8" for number in (1, 2, 3)]
    path = config("clientPort=2181", "initLimit=5", "syncLimit=2", *servers)
    assert main(["config", "check", "--json", path]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["role"], facts["server_id"], facts["starts"]) == ("participant", 2, True)
    assert "3=127.0.0.1:2838:3838:participant" in facts["servers"]


def test_what_would_not_start_is_refused_with_setting_value_place_and_remedy(config, capsys):
    path = config("clientPort=2181", "tickTime=fast")
    assert main(["config", "check", path]) == 2
    err = capsys.readouterr().err
    assert f"[tickTime=fast] {path}:3: write a whole number" in err
    assert main(["config", "check", "--json", path]) == 2
    assert json.loads(capsys.readouterr().out)["setting"] == "tickTime"
    assert main(["config", "check", "/no/such.cfg"]) == 2


def test_warnings_are_listed(config, capsys):
    assert main(["config", "check", config("clientPort=2181", "clientport=1")]) == 0
    assert "warning: " in capsys.readouterr().out


def test_a_data_directory_that_is_a_file_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "zoo.cfg").write_text(f"dataDir={tmp_path}/file\nclientPort=2181\n")
    assert main(["config", "check", str(tmp_path / "zoo.cfg")]) == 0
    assert f"dataDir={tmp_path}/file is no directory" in capsys.readouterr().out


@pytest.fixture
def certificates(tmp_path):
    """The files of `pyzk certs`: a function of how long they are valid."""

    def make(*arguments):
        assert main(["certs", str(tmp_path), "localhost", *arguments]) == 0
        return [
            *("secureClientPort=2281", "admin.enableServer=false"),
            f"ssl.keyStore.location={tmp_path}/localhost.pem",
            f"ssl.trustStore.location={tmp_path}/ca.pem",
        ]

    return make


def test_a_secure_file_passes_the_strict_check(config, certificates, capsys):
    assert main(["config", "check", "--secure", config(*certificates())]) == 0
    assert "clients by tls 0.0.0.0:2281\n" in capsys.readouterr().out


def test_what_is_insecure_is_listed_and_fails_the_strict_check(config, capsys):
    path = config("clientPort=2181")
    assert main(["config", "check", path]) == 0
    assert main(["config", "check", "--secure", "--json", path]) == 1
    out = capsys.readouterr().out
    assert out.count("insecure: ") == 2
    assert "takes plain connections" in json.loads(out.splitlines()[-1])["insecure"][0]


def test_files_that_others_may_read_and_certificates_that_end_are_insecure(config, certificates, tmp_path, capsys):
    path = config(*certificates("--days", "10"), "ssl.keyStore.password=secret")
    for name in ("zoo.cfg", "localhost.pem"):
        (tmp_path / name).chmod(0o644)
    assert main(["config", "check", "--secure", path]) == 1
    out = capsys.readouterr().out
    assert "zoo.cfg holds passwords, and others may read it" in out
    assert "localhost.pem can be read by others" in out
    assert "its certificate expires in 9 days" in out
    main(["certs", str(tmp_path), "localhost", "--days", "-1"])
    main(["config", "check", path])
    assert "its certificate has expired" in capsys.readouterr().out


def test_a_key_store_that_cannot_be_read_would_stop_the_start(config, certificates, tmp_path, capsys):
    path = config(*certificates())
    (tmp_path / "localhost.pem").write_text("nothing")
    assert main(["config", "check", path]) == 2
    assert "ssl.keyStore.location" in capsys.readouterr().err


def test_a_key_is_explained_with_value_and_source(config, capsys):
    path = config("clientPort=2181", "snapCount=500")
    code, facts = explained(capsys, "snapCount", "--config", path)
    assert code == 0
    assert (facts["value"], facts["set_by"], facts["default"]) == ("500", f"{path}:3", "100000")
    _, facts = explained(capsys, "zookeeper.snapCount")
    assert (facts["key"], facts["value"]) == ("snapCount", "100000")
    assert facts["set_by"].startswith("default")


def test_a_flag_of_the_jvm_is_a_source(config, capsys, monkeypatch):
    monkeypatch.setenv("SERVER_JVMFLAGS", "-Dzookeeper.snapCount=700")
    _, facts = explained(capsys, "snapCount", "--config", config("clientPort=2181"))
    assert facts["value"] == "700"
    assert "JVMFLAGS" in facts["set_by"]


def test_a_default_that_is_not_apache_s_is_said_to_be_so(capsys):
    _, facts = explained(capsys, "4lw.commands.whitelist")
    assert facts["apache"].startswith("srvr")
    assert "ruok" in facts["default"]


def test_a_file_that_cannot_be_used_still_tells_what_it_says(config, capsys):
    path = config("clientPort=2181", "snapCount=500", "tickTime=fast")
    _, facts = explained(capsys, "snapCount", "--config", path)
    assert (facts["value"], facts["set_by"]) == ("500", f"{path}:3")
    assert facts["but"].startswith("a server would not start: ")
    _, facts = explained(capsys, "preAllocSize", "--config", path)
    assert facts["set_by"] == f"default; {path}"
    _, facts = explained(capsys, "preAllocSize", "--config", "/no/such.cfg")
    assert "value" not in facts


def test_secrets_are_not_shown(config, capsys):
    secret = next(row for row in all_settings() if row.is_secret)
    _, facts = explained(capsys, secret.name, "--config", config("tickTime=x", f"{secret.name}=hunter2"))
    assert "hunter2" not in json.dumps(facts)


@pytest.mark.parametrize("key", ["server.1", "group.2", "weight.3", "authProvider.1"])
def test_lines_of_the_server_list_are_explained(key, capsys):
    assert main(["config", "explain", key]) == 0
    assert "=" in capsys.readouterr().out
    assert explained(capsys, key)[1]["meaning"]


def test_a_misspelt_key_is_guessed(capsys):
    assert main(["config", "explain", "snapcont"]) == 1
    assert "did you mean snapCount" in capsys.readouterr().err
    assert main(["config", "explain", "qqqqqq"]) == 1
    assert "docs/configuration.md lists all" in capsys.readouterr().err


@pytest.mark.parametrize("row", list(all_settings()), ids=lambda row: row.name)
def test_every_key_can_be_explained(row, capsys):
    assert main(["config", "explain", row.name]) == 0
    assert row.summary in capsys.readouterr().out


def test_the_error_has_the_fields_that_the_tool_uses():
    error = ConfigError("key", "value", "what to do")
    assert (error.setting, str(error)) == ("key", "what to do")

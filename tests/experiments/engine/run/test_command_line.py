"""The command line: what it understands, and one clear line with status 2 for what it does not."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine.process import devices
from experiments.engine.process.errors import Interrupted, RunError, UsageError
from experiments.engine.run import command_line, workdir
from experiments.engine.run import config as config_lib
from tests.experiments.engine import toy

CONFIG = "--config=tests/experiments/engine/toy_config.py"


@pytest.fixture(autouse=True, scope="module")
def started():
    jax.devices()  # so that no test here is the one that starts JAX


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([CONFIG, "--config.tran.epochs=3"], r"no config\.tran\.epochs; did you mean --config\.train\.epochs\?"),
        ([CONFIG, "--config.epochs", "3"], r"did you mean --config\.train\.epochs\?"),
        ([CONFIG, "--config.zzz=3"], r"there is no config\.zzz$"),
        ([CONFIG, "--noconfig.tensorbord"], r"did you mean --config\.tensorboard\?"),
        ([CONFIG, "--config.train=3"], r"config\.train is a group; give one of its entries: .*train\.epochs"),
        ([CONFIG + ":tinny"], r"no variant 'tinny'; there are: tiny, scheduled, long"),
        (["--config=absent.py:tiny"], r"there is no file 'absent\.py'"),
        (["--config=README.md"], r"expected a Python file"),
        (["--config="], r"--config needs a value"),
        (["--config"], r"Missing value for flag --config"),
        ([CONFIG, CONFIG], r"--config is given twice"),
        ([], r"--config=FILE\[:VARIANT\] is missing"),
        (["--config.train.epochs=3"], r"no config to change"),
        (["--models=deep"], r"--models: there is no config to change"),
        (
            [CONFIG, "--config.train.epochs=1e3"],
            r"train\.epochs=1e3: expected a value of type int \(such as 3\)",
        ),
        ([CONFIG, "--config.cpu_devices=many"], r"cpu_devices=many: expected a value of type int$"),
        ([CONFIG, "--config.train.learning_rate=fast"], r"learning_rate=fast: expected a value of type float"),
        ([CONFIG, "--config.tensorboard=maybe"], r"tensorboard=maybe: expected a value of type bool"),
        ([CONFIG, "--config.train.epochs"], r"Missing value for flag --config\.train\.epochs"),
        ([CONFIG, "--wrokdir=here"], r"Unknown command line flag 'wrokdir'. Did you mean: workdir"),
        ([CONFIG, "--workdir="], r"--workdir is empty"),
        ([CONFIG, "stray"], r"unexpected argument 'stray'"),
        ([CONFIG, "--report_only"], r"--report_only needs the --workdir"),
        ([CONFIG, "--evaluate=noise"], r"--evaluate needs the --workdir"),
        (["--evaluate=noise", "--report_only", "--workdir=absent"], r"two different things"),
        (["--report_only", "--workdir=absent"], r"workdir absent: cannot read config\.json"),
        ([CONFIG, "--config.seeds=0"], r"config\.seeds=0: expected at least 1"),
        ([CONFIG, "--config.seed=-1"], r"config\.seed=-1: expected at least 0"),
        ([CONFIG, "--config.seed=2147483647"], r"the last seed must be below"),
        ([CONFIG, "--config.seeds=2147483649"], r"config\.seeds=2147483649: the last seed must be below"),
        ([CONFIG, "--config.train.epochs=0"], r"config\.train\.epochs=0: expected at least 1"),
        ([CONFIG, "--config.train.batch_size=0"], r"config\.train\.batch_size=0: expected at least 1"),
        ([CONFIG, "--config.train.batch_size=91"], r"batch_size=91: expected at most config\.train\.num_examples=90"),
        ([CONFIG, "--config.train.learning_rate=-0.1"], r"learning_rate=-0\.1: expected a finite number > 0"),
        ([CONFIG, "--config.train.learning_rate=nan"], r"learning_rate=nan: expected a finite number > 0"),
        ([CONFIG, "--config.checkpoint_every=0"], r"config\.checkpoint_every=0: expected at least 1"),
        ([CONFIG, "--config.validate_at=(0, -1)"], r"validate_at=\(0, -1\): expected whole numbers of at least 0"),
        ([CONFIG, "--config.mesh=3"], r"config\.mesh='3': expected 'auto', or SEEDxDATA"),
        ([CONFIG, "--config.seed_strategy=both"], r"config\.seed_strategy='both': expected one of vmap, loop, auto"),
        ([CONFIG, "--config.cpu_devices=3"], r"cpu_devices=3: JAX has already started with 4 CPU devices"),
        ([CONFIG, "--config.cpu_devices=0"], r"config\.cpu_devices=0: expected at least 1"),
        ([CONFIG, "--config.hidden=0"], r"config\.hidden=0: expected at least 1"),
        ([CONFIG, "--config.hidden=101"], r"config\.hidden=101: expected at most 100"),
        (
            [CONFIG, "--config.widths=(4, 'a')"],
            r"config\.widths=\(4, 'a'\): expected members of type int, such as 4$",
        ),
        ([CONFIG, "--config.widths=(4, True)"], r"widths=\(4, True\): expected members of type int"),
        ([CONFIG, "--config.widths=(4.5,)"], r"widths=\(4\.5,\): expected members of type int"),
        ([CONFIG, "--config.widths=(4, 0)"], r"widths=\(4, 0\): expected at least one value, each at least 1"),
        # Tables of models and tests.
        ([CONFIG, "--models=shallow"], r"no 'shallow'; there are: plain, deep; each with \[\+fast\]"),
        ([CONFIG, "--models="], r"--models is empty"),
        ([CONFIG, "--tests=noize3"], r"no 'noize3'; there are: test, noise\[LEVEL\]"),
        ([CONFIG, "--tests=noise-3"], r"no 'noise-3'"),
        ([CONFIG, "--models=plain", "--config.models.deep.label=x"], r"there is no config\.models\.deep\.label"),
        ([CONFIG, "--config.models.deep.netwrok=x"], r"no config\.models\.deep\.netwrok; did you mean .*deep\.network"),
        (
            [CONFIG, "--config.models.deep=x"],
            r"models\.deep is a group; give one of its entries: .*deep\.network",
        ),
        ([CONFIG, "--config.models=x"], r"config\.models holds tables: choose some with --models=NAME"),
        ([CONFIG, "--config.models.deep.network=flat"], r"models\.deep\.network='flat': expected one of plain, deep"),
        ([CONFIG, "--config.tests.noise.level=-1"], r"config\.tests\.noise\.level=-1: expected at least 0"),
        (
            [CONFIG, "--config.tests.noise.level=x"],
            r"noise\.level=x: expected a value of type int \(such as 0\)",
        ),
        ([CONFIG, "--config.models.deep.train.epochs=0"], r"models\.deep\.train\.epochs=0: expected at least 1"),
        ([CONFIG, "--config.models.deep.train.batch_size=91"], r"models\.deep\.train\.batch_size=91: expected at most"),
        ([CONFIG, "--config.models.deep.label=plain"], r"models\.deep has the label of config\.models\.plain: 'plain'"),
        ([CONFIG, "--config.tests.noise.label=train"], r"config\.tests\.noise: .* got the label 'train'"),
        ([CONFIG, "--config.models.deep.label=../x"], r"config\.models\.deep: .* got the label '\.\./x'"),
    ],
)
def test_a_wrong_command_is_one_line_and_status_2(argv, said, capfd):
    assert toy.main(argv) == 2
    out, err = capfd.readouterr()
    assert re.search(said, err.strip()), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert out == ""


def test_an_int_may_stand_among_floats_and_an_empty_tuple_says_nothing():
    config = ConfigDict({"rates": (0.1, 0.2), "empty": (), "names": ("a, b",), "nested": {"sizes": (3,)}})
    before = config_lib.leaves(config)
    config.update(rates=(0, 0.5), empty=(1, "a"), nested={"sizes": ()})
    config_lib.check_members(config, before)
    config.rates = (0.5, True)
    with pytest.raises(UsageError, match=r"config\.rates=\(0\.5, True\): expected members of type float, such as"):
        config_lib.check_members(config, before)
    config.update(rates=(0.5,), names=("deep, plain",))
    with pytest.raises(UsageError, match=r"""'deep, plain': expected a tuple, written as "\('deep','plain'\)\""""):
        config_lib.check_members(config, before)


@pytest.mark.parametrize("how", ["--report_only", "--evaluate=noise"])
@pytest.mark.parametrize("more", [[], [CONFIG]])
def test_a_workdir_of_another_experiment_is_named_before_its_config_is_read(how, more, tmp_path, capsys):
    stored = {"experiment": "other", "config": {"seeds": 1}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert toy.main([*more, f"--workdir={tmp_path}", how]) == 2
    assert capsys.readouterr().err == f"error: workdir {tmp_path} belongs to another experiment: other, not toy\n"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda config: config.data.scenes, "it has no entry 'scenes'"),
        (lambda config: config["widht"], "it has no entry 'widht'"),
        (lambda config: config.hidden.rate, "'int' object has no attribute 'rate'"),
        (lambda config: config.hidden < "a", "'<' not supported between instances of 'int' and 'str'"),
    ],
)
def test_a_config_of_another_experiment_is_one_line_and_status_2(check, said, tmp_path, capsys):
    family = toy.FAMILY._replace(check=check)
    assert engine.main(family, [CONFIG, f"--workdir={tmp_path / 'run'}"]) == 2
    assert capsys.readouterr().err == f"error: the config does not suit toy: {said}; is it another experiment's?\n"
    assert not (tmp_path / "run").exists()


def test_a_program_is_named_as_it_was_called(tmp_path, request):
    """Also by the run that is started anew for huge pages."""
    root, place = request.config.rootpath, tmp_path / "run"
    (tmp_path / "mine.py").write_text(
        "import sys\nfrom experiments import engine\nfrom tests.experiments.engine import toy\n"
        "sys.exit(engine.command(toy.FAMILY, lambda *_: None))\n"
    )
    words = [f"--config={root}/tests/experiments/engine/toy_config.py", "--workdir=run"]
    env = os.environ | {"PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-W", "error", "mine.py", *words], cwd=tmp_path, env=env, check=True, timeout=120)
    assert workdir.load(place, toy.FAMILY)["command"] == shlex.join(["python", "mine.py", *words])


@pytest.mark.parametrize("module", ["experiments.waves.__main__", "experiments.waves", "mine"])
def test_a_module_is_named_as_it_was_called(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name=module)))
    assert command_line._program() == ["python", "-m", module.removesuffix(".__main__")]


def parse(*words):
    return command_line.parse(words, toy.FAMILY)


def test_overrides_reach_the_config_in_any_order():
    words = ["--config.train.epochs", "7", CONFIG + ":tiny", "--config.widths=(1, 2)", "--config.tensorboard"]
    found = parse(*words, "--workdir=here")
    assert (found.config.train.epochs, found.config.train.num_examples, found.config.widths) == (7, 72, (1, 2))
    assert found.config.tensorboard is True
    assert found.config.is_locked
    assert found.variant == "tiny"
    assert str(found.workdir) == os.path.join(os.getcwd(), "here")
    assert found.evaluate is None and not found.report_only


def test_what_is_typed_becomes_tables_in_its_order_which_can_be_overridden():
    words = ["--models=plain+fast,deep", "--config.models.deep.train.epochs=9", "--tests=noise4,test"]
    config = parse(*words, CONFIG, "--config.tests.noise4.level=5").config
    tables = engine.tables(config, "models")
    assert list(tables) == ["plain_fast", "deep"]
    assert (tables["plain_fast"]["label"], tables["deep"]["label"]) == ("plain+fast", None)
    assert (tables["plain_fast"]["network"], tables["deep"]["network"]) == ("plain", "deep")
    epochs = [engine.of_model(config, name).train.epochs for name in tables]
    assert epochs == [1, 9]
    assert engine.tables(config, "tests") == {
        "noise4": {"label": None, "kind": "noise", "level": 5},
        "test": {"label": None, "kind": "test", "level": 0},
    }


def test_a_name_of_the_config_is_its_table_and_not_shorthand(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from tests.experiments.engine import toy_config\n\n\ndef get_config():\n"
        "    config = toy_config.get_config()\n"
        "    config.tests = {'noise4': {'kind': 'test', 'label': 'mine'}, 'other': {'kind': 'noise'}}\n"
        "    return config\n"
    )
    mine = f"--config={tmp_path}/mine.py"
    assert engine.tables(parse(mine, "--tests=noise4").config, "tests")["noise4"]["kind"] == "test"
    assert list(engine.tables(parse(mine, "--tests=other,mine").config, "tests")) == ["other", "noise4"]


def test_the_default_workdir_is_dated_and_names_the_variant():
    assert re.search(r"/runs/toy-tiny-\d{8}-\d{6}$", str(parse(CONFIG + ":tiny").workdir))
    assert re.search(r"/runs/toy-\d{8}-\d{6}$", str(parse(CONFIG).workdir))


def test_runs_of_one_second_have_workdirs_of_their_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "_dated", lambda *_: tmp_path / "runs" / "toy-now")
    seen = []
    act = lambda request, profile, stop: seen.append(request.workdir.name)  # noqa: E731
    for _ in range(3):
        assert command_line.main(toy.FAMILY, act, argv=[CONFIG]) == 0
    assert seen == ["toy-now", "toy-now-2", "toy-now-3"]
    assert f"workdir: {tmp_path}/runs/toy-now-2\n" in capsys.readouterr().err


def test_paths_may_begin_with_a_tilde(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text("from tests.experiments.engine.toy_config import get_config  # noqa: F401\n")
    request = parse("--config=~/mine.py:tiny", "--workdir=~/runs/a b")
    assert (request.workdir, request.new, request.variant) == (tmp_path / "runs" / "a b", False, "tiny")
    assert toy.main(["--config=~/mine.py", "--workdir=~nobody_at_all/x"]) == 2
    assert capsys.readouterr().err == "error: ~nobody_at_all/x: there is no home folder ~nobody_at_all\n"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("{}/mine.py", ("{}/mine.py", None)),
        ("{}/mine.py:", ("{}/mine.py", "")),
        ("{}/mine.py:tiny", ("{}/mine.py", "tiny")),
        ("{}/10:30/mine.py", ("{}/10:30/mine.py", None)),
        ("{}/10:30/mine.py:tiny,long", ("{}/10:30/mine.py", "tiny,long")),
        ("{}/10:30/its:own.py", ("{}/10:30/its:own.py", None)),
        ("{}/10:30/absent.py", ("{}/10:30/absent.py", None)),
        ("{}/10:30/absent.py:tiny", ("{}/10:30/absent.py", "tiny")),
        (r"C:\runs\absent.py", (r"C:\runs\absent.py", None)),
        (r"C:\runs\absent.py:tiny", (r"C:\runs\absent.py", "tiny")),
        (":tiny", ("", "tiny")),
        ("", ("", None)),
    ],
)
def test_the_path_of_a_config_may_hold_colons(typed, expected, tmp_path):
    (tmp_path / "10:30").mkdir()
    for name in ("mine.py", "10:30/mine.py", "10:30/its:own.py"):
        (tmp_path / name).write_text("")
    file, variant = command_line.split_config(typed.format(tmp_path))
    assert (file, variant) == (expected[0].format(tmp_path), expected[1])


@pytest.mark.parametrize(("more", "epochs"), [([], 1), ([CONFIG], 3)])
def test_help_lists_every_entry_with_its_value_and_help(more, epochs, capsys):
    assert toy.main([*more, "--help"]) == 0
    text = capsys.readouterr().out
    assert "usage: python -m experiments.toy --config=FILE" in text
    assert f"  train.epochs = {epochs}  passes over the training examples; expected at least 1\n" in text
    assert "  hidden = 5  units of the hidden layer; expected at least 1\n" in text
    assert "  cpu_devices = (int, not set)  JAX devices" in text
    assert "entries of a table config.models.NAME:" in text and "  train.epochs = (int, not set)" in text
    assert "  --tests: test, noise[LEVEL]" in text
    assert ("tables of this config: plain, deep" in text) == bool(more)


def test_help_names_the_flags_that_a_program_has_besides(capsys):
    more = {"trials": command_line.Flag(100, "how many"), "network": command_line.Flag("deep", "which")}
    seen = []
    act = lambda request, profile, stop: seen.append(request.flags)  # noqa: E731
    words = [CONFIG, "--report_only", "--workdir=absent", "--trials=x"]
    assert command_line.main(toy.FAMILY, act, more=more, argv=["--help"]) == 0
    assert "--trials       how many (default: 100)" in capsys.readouterr().out
    assert command_line.main(toy.FAMILY, act, more=more, argv=words) == 2
    assert "flag --trials=x: invalid literal for int()" in capsys.readouterr().err


def test_additional_flags_reach_the_program(tmp_path):
    more, seen = {"trials": command_line.Flag(100, "how many"), "network": command_line.Flag("deep", "which")}, []
    act = lambda request, profile, stop: seen.append(request.flags)  # noqa: E731
    assert command_line.main(toy.FAMILY, act, more=more, argv=[CONFIG, f"--workdir={tmp_path}", "--trials", "7"]) == 0
    assert seen == [{"trials": 7, "network": "deep"}]


def test_a_config_file_that_fails_says_so(tmp_path, capsys):
    (tmp_path / "broken.py").write_text("def get_config():\n    raise KeyError('lost')\n")
    (tmp_path / "unread.py").write_text("def get_config():\n    return open('/nowhere/at/all')\n")
    (tmp_path / "other.py").write_text("def get_config():\n    return {}\n")
    for name in ("broken.py", "broken.py:tiny", "unread.py", "other.py"):
        assert toy.main([f"--config={tmp_path}/{name}"]) == 2
    broken, variant, unread, other = capsys.readouterr().err.splitlines()
    assert "lost" in broken
    assert "takes 0 positional arguments but 1 was given" in variant
    assert "/nowhere/at/all" in unread
    assert "expected a ConfigDict" in other


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "config.models.deep.netwrok = 'plain'",
            r"no config\.models\.deep\.netwrok; did you mean .*network\?",
        ),
        (
            "config.models.deep.train = {'epoch': 1}",
            r"no config\.models\.deep\.train\.epoch; did you mean .*epochs\?",
        ),
        ("config.models.deep.network = 3", r"models\.deep\.network=3: expected a value of type str"),
        ("config.models.deep = {}", r"models\.deep\.network=None: expected one of plain, deep"),
        ("config.models = ('plain',)", r"config\.models=\('plain',\): expected tables"),
        ("config.models = {}", r"config\.models has no tables: expected at least one"),
        ("config.hiden = 3", r"there is no config\.hiden; did you mean --config\.hidden\?"),
        ("del config.hidden", r"the config lacks hidden"),
    ],
)
def test_a_config_file_with_wrong_entries_is_named(lines, said, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "from tests.experiments.engine import toy_config\n\n\ndef get_config():\n"
        f"    config = toy_config.get_config()\n    with config.ignore_type():\n        {lines}\n    return config\n"
    )
    assert toy.main([f"--config={tmp_path}/mine.py"]) == 2
    err = capsys.readouterr().err
    assert re.search(said, err), err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ZeroDivisionError("a defect"), 1, "ZeroDivisionError: a defect"),
        (RunError("the disk is full"), 1, "error: the disk is full\n"),
        (UsageError("no such thing"), 2, "error: no such thing\n"),
        (Interrupted(signal.SIGTERM), 143, "stopped by signal 15; the same command with --workdir="),
        (KeyboardInterrupt(), 130, "aborted"),
    ],
)
def test_exit_statuses(error, status, said, tmp_path, capsys):
    def fails(*_):
        raise error

    assert command_line.main(toy.FAMILY, fails, argv=[CONFIG, f"--workdir={tmp_path}"]) == status
    err = capsys.readouterr().err
    assert said in err
    assert ("Traceback" in err) == isinstance(error, ZeroDivisionError)


def test_all_usable_cores_is_the_default_unless_chosen_before():
    devices.configure_cpu_devices(None)  # the tests chose 4
    devices.configure_cpu_devices(4)
    with pytest.raises(UsageError, match="already started with 4"):
        devices.configure_cpu_devices(5)
    assert devices.usable_cores() >= 1

"""The command line: what it understands, and one clear line with status 2 for what it does not."""

import json
import os
import re
import shlex
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest
from ml_collections import ConfigDict

from experiments.engine.process import devices as mesh
from experiments.engine.process.errors import UsageError
from experiments.engine.run import command_line as cli
from experiments.engine.run import config as config_lib
from experiments.engine.run import workdir
from tests.experiments.engine import toy

CONFIG = "--config=tests/experiments/engine/toy_config.py"


@pytest.fixture(autouse=True)
def at_the_root(request, monkeypatch):
    jax.devices()  # so that no test here is the one that starts JAX
    monkeypatch.chdir(request.config.rootpath)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([CONFIG, "--config.tran.epochs=3"], r"no config\.tran\.epochs; did you mean --config\.train\.epochs\?"),
        ([CONFIG, "--config.epochs", "3"], r"did you mean --config\.train\.epochs\?"),
        ([CONFIG, "--config.zzz=3"], r"there is no config\.zzz$"),
        ([CONFIG, "--noconfig.tensorbord"], r"did you mean --config\.tensorboard\?"),
        ([CONFIG, "--config.train=3"], r"config\.train is a group; give one of its entries: .*train\.epochs"),
        ([CONFIG + ":tinny"], r"no variant 'tinny'; there are: tiny, long"),
        (["--config=absent.py:tiny"], r"there is no file 'absent\.py'"),
        (["--config=README.md"], r"expected a Python file"),
        (["--config"], r"--config needs a value"),
        ([CONFIG, CONFIG], r"--config is given twice"),
        ([], r"--config=FILE\[:VARIANT\] is missing"),
        (["--config.train.epochs=3"], r"no config to change"),
        (
            [CONFIG, "--config.train.epochs=1e3"],
            r"train\.epochs=1e3: expected a value of type int \(such as 3\)",
        ),
        ([CONFIG, "--config.train.learning_rate=fast"], r"learning_rate=fast: expected a value of type float"),
        ([CONFIG, "--config.tensorboard=maybe"], r"tensorboard=maybe: expected a value of type bool"),
        ([CONFIG, "--config.train.epochs"], r"Missing value for flag --config\.train\.epochs"),
        ([CONFIG, "--wrokdir=here"], r"Unknown command line flag 'wrokdir'. Did you mean: workdir"),
        ([CONFIG, "--workdir="], r"--workdir is empty"),
        ([CONFIG, "stray"], r"unexpected argument 'stray'"),
        ([CONFIG, "--report_only"], r"--report_only needs the --workdir"),
        ([CONFIG, "--evaluate=noise"], r"--evaluate needs the --workdir"),
        (["--evaluate=", "--workdir=absent"], r"--evaluate is empty"),
        (["--evaluate=noise", "--report_only", "--workdir=absent"], r"two different things"),
        (["--report_only", "--workdir=absent"], r"workdir absent: cannot read config\.json"),
        ([CONFIG, "--config.seeds=0"], r"config\.seeds=0: expected an int >= 1"),
        ([CONFIG, "--config.seed=-1"], r"config\.seed=-1: expected an int >= 0"),
        ([CONFIG, "--config.seed=2147483647"], r"the last seed must be below"),
        ([CONFIG, "--config.seeds=2147483649"], r"config\.seeds=2147483649: the last seed must be below"),
        ([CONFIG, "--config.train.epochs=0"], r"config\.train\.epochs=0: expected an int >= 1"),
        ([CONFIG, "--config.train.batch_size=0"], r"config\.train\.batch_size=0: expected an int >= 1"),
        ([CONFIG, "--config.train.batch_size=91"], r"batch_size=91: expected at most config\.train\.num_examples=90"),
        ([CONFIG, "--config.train.learning_rate=-0.1"], r"learning_rate=-0\.1: expected a finite number > 0"),
        ([CONFIG, "--config.train.learning_rate=nan"], r"learning_rate=nan: expected a finite number > 0"),
        ([CONFIG, "--config.checkpoint_every=0"], r"config\.checkpoint_every=0: expected an int >= 1"),
        ([CONFIG, "--config.seed_strategy=both"], r"config\.seed_strategy='both': expected one of vmap, loop, auto"),
        ([CONFIG, "--config.cpu_devices=3"], r"cpu_devices=3: JAX has already started with 4 CPU devices"),
        ([CONFIG, "--config.hidden=0"], r"config\.hidden=0: expected at least 1"),
        (
            [CONFIG, "--config.widths=(4, 'a')"],
            r"config\.widths=\(4, 'a'\): expected members of type int, such as 4$",
        ),
        ([CONFIG, "--config.widths=(4, True)"], r"widths=\(4, True\): expected members of type int"),
        ([CONFIG, "--config.widths=(4.5,)"], r"widths=\(4\.5,\): expected members of type int"),
        (
            [CONFIG, "--config.models=(1, 2)"],
            r"models=\(1, 2\): expected members of type str, such as 'plain'$",
        ),
        (
            [CONFIG, "--config.models=deep, plain"],
            r"""config\.models='deep, plain': expected a tuple, written as "\('deep','plain'\)\"""",
        ),
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
    config = ConfigDict({"rates": (0.1, 0.2), "models": (), "tests": ("a, b",), "nested": {"sizes": (3,)}})
    before = config_lib.leaves(config)
    config.update(rates=(0, 0.5), models=(1, "a"), nested={"sizes": ()})
    config_lib.check_members(config, before)
    config.rates = (0.5, True)
    with pytest.raises(UsageError, match=r"config\.rates=\(0\.5, True\): expected members of type float, such as"):
        config_lib.check_members(config, before)


@pytest.mark.parametrize("how", ["--report_only", "--evaluate=noise"])
@pytest.mark.parametrize("more", [[], [CONFIG]])
def test_a_workdir_of_another_experiment_is_named_before_its_config_is_read(how, more, tmp_path, capsys):
    stored = {"experiment": "other", "config": {"seeds": 1}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert toy.main([*more, f"--workdir={tmp_path}", how]) == 2
    assert capsys.readouterr().err == f"error: workdir {tmp_path} belongs to another experiment: other, not toy\n"


@pytest.mark.parametrize(
    ("validate", "said"),
    [
        (lambda config: config.data.scenes, "it has no entry 'data'"),
        (lambda config: config["widht"], "it has no entry 'widht'"),
        (lambda config: config.hidden.rate, "'int' object has no attribute 'rate'"),
        (lambda config: config.hidden < "a", "'<' not supported between instances of 'int' and 'str'"),
    ],
)
def test_a_config_of_another_experiment_is_one_line_and_status_2(validate, said, tmp_path, capsys):
    assert cli.main(toy.run, name="toy", validate=validate, argv=[CONFIG, f"--workdir={tmp_path / 'run'}"]) == 2
    assert capsys.readouterr().err == f"error: the config does not suit toy: {said}; is it another experiment's?\n"
    assert not (tmp_path / "run").exists()


def test_a_program_of_ones_own_is_told_as_it_was_called(tmp_path, request):
    """Also by the run that is started anew for huge pages."""
    root, place = request.config.rootpath, tmp_path / "run"
    main = "engine.main(lambda *_, **__: None, name='mine')"
    (tmp_path / "mine.py").write_text(f"import sys\nfrom experiments import engine\nsys.exit({main})\n")
    words = [f"--config={root}/tests/experiments/engine/toy_config.py", "--workdir=run"]
    env = os.environ | {"PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-W", "error", "mine.py", *words], cwd=tmp_path, env=env, check=True, timeout=120)
    assert workdir.load(place, "mine")["command"] == shlex.join(["python", "mine.py", *words])


@pytest.mark.parametrize("module", ["experiments.waves.__main__", "experiments.waves", "mine"])
def test_a_module_is_told_as_it_was_called(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name=module)))
    assert cli._program() == ["python", "-m", module.removesuffix(".__main__")]


def test_overrides_reach_the_config_in_any_order():
    words = ["--config.train.epochs", "7", CONFIG + ":tiny", "--config.widths=(1, 2)", "--config.tensorboard"]
    found = cli.parse([*words, "--workdir=here"], "toy")
    assert (found.config.train.epochs, found.config.train.num_examples, found.config.widths) == (7, 72, (1, 2))
    assert found.config.tensorboard is True
    assert found.config.is_locked
    assert found.variant == "tiny"
    assert str(found.workdir) == os.path.join(os.getcwd(), "here")


def test_the_default_workdir_is_dated_and_names_the_variant():
    assert re.search(r"/runs/toy-tiny-\d{8}-\d{6}$", str(cli.parse([CONFIG + ":tiny"], "toy").workdir))
    assert re.search(r"/runs/toy-\d{8}-\d{6}$", str(cli.parse([CONFIG], "toy").workdir))


def test_help_is_no_error(capsys):
    assert toy.main(["--help"]) == 0
    assert "--config.KEY" in capsys.readouterr().out


def test_a_config_file_that_fails_says_so(tmp_path, capsys):
    (tmp_path / "broken.py").write_text("def get_config():\n    raise KeyError('lost')\n")
    (tmp_path / "other.py").write_text("def get_config():\n    return {}\n")
    assert toy.main([f"--config={tmp_path}/broken.py"]) == 2
    assert toy.main([f"--config={tmp_path}/broken.py:tiny"]) == 2
    assert toy.main([f"--config={tmp_path}/other.py"]) == 2
    err = capsys.readouterr().err
    assert "lost" in err
    assert "it has no variants" in err
    assert "expected a ConfigDict" in err


def test_a_defect_gives_status_1_and_its_traceback(tmp_path, capsys):
    def broken(config, workdir, report_only, evaluate):
        raise ZeroDivisionError("a defect")

    assert cli.main(broken, name="toy", argv=[CONFIG, f"--workdir={tmp_path}"]) == 1
    assert "ZeroDivisionError: a defect" in capsys.readouterr().err


def test_ctrl_c_before_training_gives_status_130(tmp_path):
    def interrupted(config, workdir, report_only, evaluate):
        raise KeyboardInterrupt

    assert cli.main(interrupted, name="toy", argv=[CONFIG, f"--workdir={tmp_path}"]) == 130


def test_all_usable_cores_is_the_default_unless_chosen_before():
    mesh.configure_cpu_devices(0)  # the tests chose 4
    mesh.configure_cpu_devices(4)
    with pytest.raises(UsageError, match="already started with 4"):
        mesh.configure_cpu_devices(5)
    assert mesh.usable_cores() >= 1

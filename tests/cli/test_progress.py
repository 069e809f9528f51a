"""What a command says of its progress where its output is no terminal."""

from dfml.cli.output import Bar


def test_a_run_that_waits_says_for_what(capsys):
    bar = Bar("training random")
    bar(0, 0, "waiting for cpu (run teapot)")
    assert "training random" in (told := capsys.readouterr().err) and "run teapot" in told and "0/0" not in told
    bar(4, 4)
    assert "4/4" in capsys.readouterr().err

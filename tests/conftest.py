"Commands are called in this process the way a shell would: torch is imported once, not once per test."
import sys
import pytest

@pytest.fixture
def run(monkeypatch, capsys):
    "run(command, *argv) -> (exit status, standard output, lines on the error stream)"
    def _run(f, *argv):
        monkeypatch.setattr(sys, 'argv', [f.__name__, *map(str, argv)])
        monkeypatch.setenv('IN_TEST', '1')                     # no progress bars
        try: f(); status = 0
        except SystemExit as e: status = e.code or 0
        out, err = capsys.readouterr()
        return status, out, [l for l in err.splitlines() if l.strip()]
    return _run

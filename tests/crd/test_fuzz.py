"""Every check on random CRDs, a fixed handful of them; ``make fuzz`` draws more."""

from __future__ import annotations

import pytest

from tests.crd import fuzz


@pytest.mark.golang
def test_every_check_holds_for_random_crds(capsys: pytest.CaptureFixture[str]) -> None:
    code = fuzz.main(["--count", "8", "--seed", "1", "--objects", "6"])
    assert code == 0, capsys.readouterr().out

import pytest

from posejax.errors import PosejaxError
from posejax.runs import workdirs


def test_a_claim_is_seen_by_others_as_long_as_it_lasts(tmp_path):
  folder = str(tmp_path / 'run')
  assert not workdirs.is_claimed(folder)
  with workdirs.claim(folder, True):
    assert workdirs.is_claimed(folder)
    again = workdirs.claim(folder, True, option='--out')
    with pytest.raises(PosejaxError, match='at work in .*run.*another --out'), again:
      pass
  assert not workdirs.is_claimed(folder)
  with workdirs.claim(folder, True):
    pass

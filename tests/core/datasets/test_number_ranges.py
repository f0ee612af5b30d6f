from itertools import pairwise

from core.datasets.changes import MAX_NUMBER
from core.datasets.models import DatasetVersion
from core.datasets.versions.derivation import number_ranges


def test_a_long_version_is_restored_in_ranges_that_hold_every_number_once() -> None:
    landmarks = list(range(2, 100_002, 1000))
    ranges = number_ranges(DatasetVersion(landmarks=landmarks))
    assert (ranges[0][0], ranges[-1][1]) == (0, MAX_NUMBER)
    assert all(one[1] == other[0] for one, other in pairwise(ranges))
    assert max(end - begin for begin, end in ranges[:-1]) == 20_002
    assert len(ranges) == 5


def test_a_version_from_before_there_were_landmarks_is_one_range() -> None:
    assert number_ranges(DatasetVersion(landmarks=None)) == [(0, MAX_NUMBER)]

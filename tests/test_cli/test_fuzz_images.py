from fuzz_images import fuzz


def test_fuzzed_images(tmp_path):
    """A small run of tests/fuzz_images.py, in which every way of damaging a file and every odd mode and name may occur."""
    counts, problems = fuzz(60, 0, tmp_path)
    assert not problems, '\n'.join(problems)
    assert sum(map(sum, counts.values())) == 60 and len(counts) > 10
    assert all(sum(counts[kind][place] for kind in counts) > 10 for place in (0, 1))

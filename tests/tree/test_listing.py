import pytest

from pyzk.tree.listing import ListingCache


def test_kept_list_is_found_until_it_is_discarded():
    cache = ListingCache()
    cache.put(b"/a", b"list")
    assert (cache.get(b"/a"), cache.size_bytes) == (b"list", 4)
    cache.discard(b"/a")
    cache.discard(b"/a")
    assert (cache.get(b"/a"), cache.size_bytes) == (None, 0)


def test_new_list_takes_the_place_of_the_old_one():
    cache = ListingCache()
    cache.put(b"/a", b"old one")
    cache.put(b"/a", b"new")
    assert (cache.get(b"/a"), cache.size_bytes) == (b"new", 3)


def test_least_recently_read_list_goes_first():
    cache = ListingCache(bytes_max=10)
    for path in (b"/a", b"/b", b"/c"):
        cache.put(path, b"123")
    cache.get(b"/a")
    cache.put(b"/d", b"123")
    assert [cache.get(path) is not None for path in (b"/a", b"/b", b"/c", b"/d")] == [True, False, True, True]
    assert cache.size_bytes == 9


@pytest.mark.parametrize("size", [11, 1000])
def test_list_longer_than_the_cache_is_not_kept(size: int):
    cache = ListingCache(bytes_max=10)
    cache.put(b"/a", b"123")
    cache.put(b"/b", bytes(size))
    assert (cache.get(b"/b"), cache.size_bytes) == (None, 0)

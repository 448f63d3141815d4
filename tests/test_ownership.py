from hypothesis import given
from hypothesis import strategies as st

from hpcstem.ownership import owned_block


@given(n_items=st.integers(0, 500), n_ranks=st.integers(1, 40))
def test_blocks_are_the_items_in_order_and_differ_by_one_at_most(n_items, n_ranks):
    blocks = [owned_block(n_items, n_ranks, rank) for rank in range(n_ranks)]
    assert [item for block in blocks for item in block] == list(range(n_items))
    sizes = [len(block) for block in blocks]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)

import numpy as np
import pytest

from surefit.evaluation.cartography import REGIONS, draw_data_map

# Columns: learned at once, learned at once and better, learned late, seen now one way now the other, never, never at all.
PROBABILITIES = np.array(
    [
        [0.8, 0.9, 0.1, 0.7, 0.2, 0.05],
        [0.8, 0.9, 0.3, 0.2, 0.3, 0.05],
        [0.8, 1.0, 0.8, 0.9, 0.1, 0.05],
        [0.8, 1.0, 0.8, 0.2, 0.2, 0.05],
    ]
)
RIGHT = PROBABILITIES > 0.5


def region_of(row, data_map):
    return REGIONS[data_map.regions[row]]


def test_confidence_variability_and_correctness_are_those_of_the_paper():
    data_map = draw_data_map(PROBABILITIES, RIGHT)
    np.testing.assert_allclose(data_map.confidence, [0.8, 0.95, 0.5, 0.5, 0.2, 0.05])
    # Equation 2: the mean squared distance from the mean, not that of a sample.
    by_hand = np.sqrt([0, 0.05**2, (0.4**2 + 0.2**2 + 2 * 0.3**2) / 4, (0.2**2 + 2 * 0.3**2 + 0.4**2) / 4, 0.02 / 4, 0])
    np.testing.assert_allclose(data_map.variability, by_hand, atol=1e-12)
    np.testing.assert_allclose(data_map.correctness, [1, 1, 0.5, 0.5, 0, 0])
    assert data_map.epochs == 4


def test_each_row_is_in_one_region():
    data_map = draw_data_map(PROBABILITIES, RIGHT)
    assert [region_of(row, data_map) for row in range(6)] == ["easy", "easy", "ambiguous", "ambiguous", "hard", "hard"]
    assert data_map.counts == {"easy": 2, "ambiguous": 2, "hard": 2}


def test_cells_hold_each_row_once_near_its_own_figures():
    data_map = draw_data_map(PROBABILITIES, RIGHT)
    cells = data_map.cells
    assert {region: sum(cell.rows for cell in cells if cell.region == region) for region in REGIONS} == data_map.counts
    for row in range(6):
        near = [
            cell
            for cell in cells
            if cell.region == region_of(row, data_map)
            and abs(cell.confidence - data_map.confidence[row]) <= 0.025 + 1e-9
            and abs(cell.variability - data_map.variability[row]) <= 0.025 + 1e-9
        ]
        assert near, row
    ends = draw_data_map(np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0]]), np.array([[False, True, False], [False, True, True]]))
    assert sum(cell.rows for cell in ends.cells) == 3


def test_the_most_extreme_rows_stand_first():
    rng = np.random.default_rng(0)
    probabilities = rng.random((3, 500)).astype(np.float32)
    data_map = draw_data_map(probabilities, probabilities > 0.5)
    easy, ambiguous, hard = (data_map.most_extreme(region, 20) for region in REGIONS)
    assert (np.diff(data_map.confidence[easy]) <= 0).all()
    assert (np.diff(data_map.variability[ambiguous]) <= 0).all()
    assert (np.diff(data_map.confidence[hard]) >= 0).all()
    assert data_map.confidence[easy].min() > data_map.confidence[hard].max()
    assert all(len(set(rows.tolist())) == 20 for rows in (easy, ambiguous, hard))
    assert data_map.confidence[hard[0]] == data_map.confidence[data_map.correctness == 0].min()


def test_a_region_gives_no_more_rows_than_it_has():
    data_map = draw_data_map(PROBABILITIES, RIGHT)
    assert data_map.most_extreme("hard", 20).tolist() == [5, 4]
    assert data_map.most_extreme("easy", 1).tolist() == [1]


def test_the_summary_counts_and_names_the_most_extreme_rows():
    columns = [0, 1, 3, 4, 5]
    found = draw_data_map(PROBABILITIES[:, columns], RIGHT[:, columns]).to_dict("abdef".__getitem__)
    assert sum(cell["rows"] for cell in found.pop("cells")) == 5
    assert found == {
        "epochs": 4,
        "counts": {"easy": 2, "ambiguous": 1, "hard": 2},
        "examples": {"easy": ["b", "a"], "ambiguous": ["d"], "hard": ["f", "e"]},
        "sentence": "of 5 training rows 2 were right in each of 4 epochs, 1 in some and 2 in none",
    }
    many = draw_data_map(np.full((2, 1234), 0.9), np.ones((2, 1234), np.bool_)).to_dict(str)
    assert many["examples"]["easy"] == ["0", "1", "2"]
    assert many["sentence"].startswith("of 1,234 training rows 1,234 were right in each of 2 epochs")


def test_of_one_epoch_it_is_said_that_nothing_could_vary():
    assert draw_data_map(PROBABILITIES[:1], RIGHT[:1]).sentence == (
        "of 6 training rows 3 were right in the only epoch and 3 were not; ambiguous rows show after two epochs"
    )


def test_after_one_epoch_nothing_varies_and_nothing_is_ambiguous():
    data_map = draw_data_map(PROBABILITIES[:1], RIGHT[:1])
    assert not data_map.variability.any()
    assert data_map.counts == {"easy": 3, "ambiguous": 0, "hard": 3}
    assert len(data_map.most_extreme("ambiguous", 5)) == 0


def test_a_row_may_be_right_at_a_low_probability_where_classes_are_many():
    data_map = draw_data_map(np.full((3, 1), 0.1), np.ones((3, 1), np.bool_))
    assert region_of(0, data_map) == "easy"


@pytest.mark.parametrize("epochs", [3, 7, 49])
def test_right_in_every_epoch_is_easy_however_many_there_are(epochs):
    data_map = draw_data_map(np.full((epochs, 2), 0.9), np.tile([True, False], (epochs, 1)))
    assert data_map.counts == {"easy": 1, "ambiguous": 0, "hard": 1}


def test_no_rows_have_an_empty_map():
    assert draw_data_map(np.zeros((2, 0)), np.zeros((2, 0), np.bool_)).counts == {"easy": 0, "ambiguous": 0, "hard": 0}


@pytest.mark.parametrize("shape", [(0, 3), (2, 3), (3,)], ids=str)
def test_both_arrays_need_the_same_epochs_and_rows(shape):
    with pytest.raises(ValueError, match="shapes"):
        draw_data_map(np.zeros(shape), np.zeros((1, 3), np.bool_))

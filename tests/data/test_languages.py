"""Languages of texts that are long enough to tell."""

from labelled_rows import labelled_rows

from surefit.data.languages import languages_of

ENGLISH = "the parcel has not arrived yet and nobody at the office answers my calls"
GERMAN = "das Paket ist noch nicht angekommen und niemand im Büro beantwortet meine Anrufe"
FRENCH = "le colis n'est pas encore arrivé et personne au bureau ne répond à mes appels"


def test_texts_in_another_language_than_most_are_told_by_language():
    languages = languages_of(labelled_rows([GERMAN, ENGLISH, ENGLISH, FRENCH, ENGLISH, FRENCH, "nein"]))
    assert (languages.usual, languages.counts, languages.judged) == ("en", {"fr": 2, "de": 1}, 6)
    assert languages.others.tolist() == [0, 3, 5]


def test_short_texts_say_nothing_of_their_language():
    assert languages_of(labelled_rows(["ja", "nein", "oui"])) is None
